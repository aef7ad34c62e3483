"""A native messaging host that says what a test wrote into `answers.json`, for states of the extension that real
components have only for a moment, or never. Whoever changes the file has the extension ask for its overview again.

Usage: scripted_host.py FOLDER. Frames that came in are kept in FOLDER/heard.jsonl.
"""

import json
import os
import struct
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

FOLDER = sys.argv[1]
ANSWERS = os.path.join(FOLDER, "answers.json")
WRITING = threading.Lock()
# Sessions in a test are written with ends relative to the moment at which the test wrote them.
EVENT = {"event": "overview"}


def stamp(seconds):
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def filled(value, written):
    """`{"$in": 60}` becomes the time 60 s after the writing, `{"$now": 0}` the time now."""
    if isinstance(value, dict):
        if set(value) == {"$in"}:
            return stamp(written + value["$in"])
        if set(value) == {"$now"}:
            return stamp(time.time() + value["$now"])
        return {name: filled(each, written) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, written) for each in value]
    return value


def load():
    written = os.stat(ANSWERS).st_mtime
    with open(ANSWERS, encoding="utf-8") as file:
        return filled(json.load(file), written)


def say(frame):
    body = json.dumps(frame).encode()
    with WRITING:
        sys.stdout.buffer.write(struct.pack("=I", len(body)) + body)
        sys.stdout.buffer.flush()


def version():
    """Each writing puts another file there; two of them can bear the same time."""
    status = os.stat(ANSWERS)
    return status.st_ino, status.st_mtime_ns


def watch():
    seen = version()
    stays = load().get("leave")
    while True:
        time.sleep(0.02)
        now = version()
        if now != seen:
            seen = now
            answers = load()
            if answers.get("leave") != stays:
                os._exit(0)
            for event in answers.get("events", []):
                say(event)
            say(EVENT)


def main():
    heard = open(os.path.join(FOLDER, "heard.jsonl"), "a", encoding="utf-8")
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return
        frame = json.loads(sys.stdin.buffer.read(struct.unpack("=I", head)[0]))
        heard.write(json.dumps(frame) + "\n")
        heard.flush()
        answer = load().get(frame["method"])
        # Without an answer in the file the extension waits.
        if answer is not None:
            say({"id": frame["id"], **answer})
        if frame["method"] == "hello":
            threading.Thread(target=watch, daemon=True).start()


try:
    main()
except BrokenPipeError:
    pass
os._exit(0)
