"""Recycles the connection pool of one service in steps, each only after the one before it has gone well.

    recycle-in-steps.py SERVICE STEPS [--plan]

Runs in the sandbox and can reach nothing but its door, /run/aiops.sock: one JSON object a line, {"verb", "with"}; one line back.
"""

import json
import socket
import sys
import time

DOOR = "/run/aiops.sock"


def ask(verb, arguments):
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(DOOR)
        door.sendall(json.dumps({"verb": verb, "with": arguments}).encode() + b"\n")
        return json.loads(door.makefile().readline())


def main():
    service, steps = sys.argv[1], int(sys.argv[2])
    for step in range(1, steps + 1):
        arguments = {
            "target": "actuator",
            "method": "POST",
            "path": f"/{service}/pool/recycle",
            "body": json.dumps({"part": step, "of": steps}),
        }
        print(f"step {step} of {steps}: {arguments['method']} {arguments['path']} {arguments['body']}", flush=True)
        if "--plan" in sys.argv:
            continue
        answer = ask("http.call", arguments)
        if answer["status"] != "ok":
            sys.exit(f"stopped: {answer['why']}")
        time.sleep(1)


main()
