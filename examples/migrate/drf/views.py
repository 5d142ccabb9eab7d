"""Four streams, written the usual way in Django REST framework."""

import itertools
import json
import os
import queue
import time

from django.http import StreamingHttpResponse
from rest_framework import renderers, serializers, status
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

TICK = float(os.environ.get("TICK", "1"))  # seconds
TOKEN = "123"
SENTENCES = [
    "A renderer lets the browser's Accept header pass.",
    "A permission class asks for the token.",
    "After the last event the response ends.",
]

notices = queue.Queue()


class EventStreamRenderer(renderers.BaseRenderer):
    """Without this, a request with Accept: text/event-stream gets 406."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return "" if data is None else json.dumps(data)


class HasToken(BasePermission):
    message = "wrong token"

    def has_permission(self, request, view):
        return request.query_params.get("token") == TOKEN


class EventStreamView(APIView):
    renderer_classes = [renderers.JSONRenderer, EventStreamRenderer]

    def event_stream(self, generator):
        return StreamingHttpResponse(
            generator,
            content_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )


class Ticks(EventStreamView):
    def get(self, request):
        user = request.query_params.get("user_id", "")
        last = int(request.headers.get("Last-Event-ID", 0))
        return self.event_stream(self.ticks(user, last))

    def ticks(self, user, last):
        try:
            for i in itertools.count(last + 1):
                time.sleep(TICK)
                message = ["当前时间: " + time.strftime("%F %T"), user]
                yield f"id: {i}\nevent: add\ndata: {json.dumps(message)}\n\n"
        finally:
            print(f"{user} has left", flush=True)


class Time(EventStreamView):
    def get(self, request):
        return self.event_stream(self.times())

    def times(self):
        while True:
            yield f"data: The server time is: {time.strftime('%T')}\n\n"
            time.sleep(TICK)


class NoticeSerializer(serializers.Serializer):
    text = serializers.CharField()


class Notices(EventStreamView):
    permission_classes = [HasToken]

    def get(self, request):
        return self.event_stream(self.unread(request.query_params.get("user_id", "")))

    def post(self, request):
        notice = NoticeSerializer(data=request.data)
        notice.is_valid(raise_exception=True)
        notices.put(notice.validated_data["text"])
        return Response(status=status.HTTP_204_NO_CONTENT)

    def unread(self, user):
        try:
            while True:
                yield f"event: notice\ndata: {notices.get()}\n\n"
        finally:
            print(f"{user} has left", flush=True)


class Events(EventStreamView):
    def get(self, request):
        n = int(request.query_params.get("n", len(SENTENCES)))
        last = int(request.headers.get("Last-Event-ID", 0))
        if last >= n:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return self.event_stream(self.sentences(last, n))

    def sentences(self, last, n):
        for i in range(last, n):
            yield f"id: {i + 1}\ndata: {SENTENCES[i % len(SENTENCES)]}\n\n"
