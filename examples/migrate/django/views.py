"""Four streams, written the usual way in Django."""

import itertools
import json
import os
import queue
import time

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

TICK = float(os.environ.get("TICK", "1"))  # seconds
TOKEN = "123"
SENTENCES = [
    "A view returns a StreamingHttpResponse.",
    "Its content is a generator.",
    "After the last event the response ends.",
]

notices = queue.Queue()


def event_stream(generator):
    response = StreamingHttpResponse(generator, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


@require_GET
def stream(request):
    user = request.GET.get("user_id", "")
    last = int(request.headers.get("Last-Event-ID", 0))

    def ticks():
        try:
            for i in itertools.count(last + 1):
                time.sleep(TICK)
                message = ["当前时间: " + time.strftime("%F %T"), user]
                yield f"id: {i}\nevent: add\ndata: {json.dumps(message)}\n\n"
        finally:
            print(f"{user} has left", flush=True)

    return event_stream(ticks())


@require_GET
def server_time(request):
    def times():
        while True:
            yield f"data: The server time is: {time.strftime('%T')}\n\n"
            time.sleep(TICK)

    return event_stream(times())


def notice(request):
    if request.GET.get("token") != TOKEN:
        raise PermissionDenied("wrong token")
    if request.method == "POST":
        notices.put(request.POST["text"])
        return HttpResponse(status=204)
    user = request.GET.get("user_id", "")

    def unread():
        try:
            while True:
                yield f"event: notice\ndata: {notices.get()}\n\n"
        finally:
            print(f"{user} has left", flush=True)

    return event_stream(unread())


@require_GET
def events(request):
    n = int(request.GET.get("n", len(SENTENCES)))
    last = int(request.headers.get("Last-Event-ID", 0))
    if last >= n:
        return HttpResponse(status=204)  # an EventSource stops

    def sentences():
        for i in range(last, n):
            yield f"id: {i + 1}\ndata: {SENTENCES[i % len(SENTENCES)]}\n\n"

    return event_stream(sentences())
