"""``status``: the state of the running appliance."""

from __future__ import annotations

import argparse
from typing import Any

from edge_matting.cli.client import NoAnswer, Remote
from edge_matting.cli.output import complain, print_json, print_line
from edge_matting.cli.settings import read_settings

READY, NOT_READY, NO_ANSWER = 0, 1, 3


def run(options: argparse.Namespace) -> int:
    remote = Remote.at(read_settings(options), options.url)  # the token may be root's alone
    try:
        status = remote.get("/api/v1/status")
        ready = remote.ready()
    except NoAnswer as error:
        complain(str(error))
        return NO_ANSWER
    if options.json:
        print_json(status)
    else:
        _print(status)
    return READY if ready else NOT_READY


def _print(status: dict[str, Any]) -> None:
    print_line(f"{status['state'].replace('_', ' ')}  (edge-matting {status['version']})")
    print_line(f"  {status['by_itself']} {status['to_do']}")
    for reason in status["reasons"]:
        print_line(f"  {reason}")
    counts = status["queue"]["counts"]
    print_line("jobs     " + ", ".join(f"{number} {state}" for state, number in counts.items()))
    print_line(f"pace     {_pace(status)}")
    if status["queue"]["arriving"]:
        print_line(f"arriving {status['queue']['arriving']} that are no jobs yet")
    execution = status["execution"]
    if execution is not None:
        print_line(f"runs on  {execution['actual']}; configured: {execution['requested']}")
    for folder in status["folders"]:
        problem = folder["problem"] or "ready"
        print_line(f"folder   {folder['path']}: {problem} ({folder['watch']})")


def _pace(status: dict[str, Any]) -> str:
    queue = status["queue"]
    parts = [f"{status['rates']['last_minute'] or 0:g} photos a minute"]
    if queue["oldest_pending_seconds"] is not None:
        parts.append(f"the oldest waits for {queue['oldest_pending_seconds']:.0f} s")
    if queue["eta_seconds"] is not None:
        parts.append(f"about {queue['eta_seconds']:.0f} s left")
    return ", ".join(parts)
