"""Four streams, written the usual way in Flask."""

import itertools
import json
import os
import queue
import time

from flask import Flask, Response, request, stream_with_context

TICK = float(os.environ.get("TICK", "1"))  # seconds
TOKEN = "123"
SENTENCES = [
    "A view returns a generator.",
    "Each yield is an event.",
    "After the last one the response ends.",
]

app = Flask(__name__)
notices = queue.Queue()


@app.get("/stream")
def stream():
    user = request.args.get("user_id", "")
    last = request.headers.get("Last-Event-ID", 0, type=int)

    def ticks():
        try:
            for i in itertools.count(last + 1):
                time.sleep(TICK)
                message = ["当前时间: " + time.strftime("%F %T"), user]
                yield f"id: {i}\nevent: add\ndata: {json.dumps(message)}\n\n"
        finally:
            print(f"{user} has left", flush=True)

    return Response(ticks(), mimetype="text/event-stream")


@app.get("/time")
def server_time():
    def times():
        while True:
            yield f"data: The server time is: {time.strftime('%T')}\n\n"
            time.sleep(TICK)

    return Response(times(), mimetype="text/event-stream")


@app.get("/notice")
def notice():
    if request.args.get("token") != TOKEN:
        return "wrong token", 403

    @stream_with_context
    def unread():
        try:
            while True:
                yield f"event: notice\ndata: {notices.get()}\n\n"
        finally:
            print(f"{request.args.get('user_id', '')} has left", flush=True)

    return Response(unread(), mimetype="text/event-stream")


@app.post("/notice")
def add_notice():
    if request.args.get("token") != TOKEN:
        return "wrong token", 403
    notices.put(request.form["text"])
    return "", 204


@app.get("/events")
def events():
    n = request.args.get("n", len(SENTENCES), type=int)
    last = request.headers.get("Last-Event-ID", 0, type=int)
    if last >= n:
        return "", 204  # an EventSource stops

    def sentences():
        for i in range(last, n):
            yield f"id: {i + 1}\ndata: {SENTENCES[i % len(SENTENCES)]}\n\n"

    return Response(sentences(), mimetype="text/event-stream")


if __name__ == "__main__":
    app.run(port=5000, threaded=True)
