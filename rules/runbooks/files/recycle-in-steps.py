"""Recycles the connection pool of one service in steps, each only after the one before it has gone well.

    recycle-in-steps.py SERVICE STEPS [--plan]

Runs in the sandbox and can reach nothing but its door, /run/aiops.sock: one JSON object a line, {"verb", "with"}; one line back.
"""  # noqa: INP001 - a script, no module

import json
import socket
import sys
import time

DOOR = "/run/aiops.sock"


def ask(verb: str, arguments: dict[str, str]) -> dict[str, str]:
    """The answer to one thing that is asked for at the door: `status`, `why`, `output`."""
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(DOOR)
        door.sendall(json.dumps({"verb": verb, "with": arguments}).encode() + b"\n")
        answer: dict[str, str] = json.loads(door.makefile().readline())
        return answer


def main(service: str, steps: int, *, plan: bool) -> None:
    """Step after step; ends at the first that goes wrong."""
    for step in range(1, steps + 1):
        body = json.dumps({"part": step, "of": steps})
        arguments = {"target": "actuator", "method": "POST", "path": f"/{service}/pool/recycle", "body": body}
        sys.stdout.write(f"step {step} of {steps}: POST {arguments['path']} {body}\n")
        sys.stdout.flush()
        if not plan:
            answer = ask("http.call", arguments)
            if answer["status"] != "ok":
                sys.exit(f"stopped: {answer['why']}")
            time.sleep(1)


main(sys.argv[1], int(sys.argv[2]), plan="--plan" in sys.argv)
