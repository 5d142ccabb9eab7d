"""Reads a stream as a script would: python3 lines.py LIBRARY CHUNK_SIZE ASK

ASK is the test's request, as JSON. What the client sees goes to standard output, as lines
of JSON.
"""

import json
import sys

library, chunk_size, ask = sys.argv[1], int(sys.argv[2]) or None, json.loads(sys.argv[3])


def say(say, **event):
    print(json.dumps({"say": say, **event}), flush=True)


def lines(chunks):
    """Cuts chunks into lines."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def events(lines):
    """Makes events of lines, as far as this server needs it."""
    event, data = {"id": "", "type": ""}, []
    for line in lines:
        name, _, value = line.decode().partition(": ")
        if name == "data":
            data.append(value)
        elif name == "id":
            event["id"] = value
        elif name == "event":
            event["type"] = value
        elif not line:
            if data:
                yield {**event, "data": "\n".join(data)}
            event, data = {"id": "", "type": ""}, []


def with_requests(headers, body):
    import requests

    response = requests.request("POST" if body else "GET", ask["url"], headers=headers, data=body, stream=True)
    broken = requests.exceptions.ChunkedEncodingError
    return response.status_code, lines(response.iter_content(chunk_size)), response.close, broken


def with_urllib(headers, body):
    import http.client
    import urllib.request

    response = urllib.request.urlopen(urllib.request.Request(ask["url"], data=body, headers=headers))
    return response.status, (line.rstrip(b"\n") for line in response), response.close, http.client.IncompleteRead


headers = {"Last-Event-ID": ask["lastEventId"]} if ask["lastEventId"] else {}
read = {"requests": with_requests, "urllib": with_urllib}[library]
status, stream, close, broken = read(headers, ask["body"].encode() or None)
if status != 200:
    say("stopped")
    sys.exit()
say("open")
try:
    for seen, event in enumerate(events(stream), 1):
        say("event", **event)
        if seen == ask["leave"]:
            close()
            say("left")
            sys.stdin.read()  # so that the server does not notice the process's end instead
            sys.exit()
    say("end")
except broken:
    say("broken")
