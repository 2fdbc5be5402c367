"""``retry``: failed or reviewed jobs back in the queue, through the running appliance."""

from __future__ import annotations

import argparse

from edge_matting.cli.client import NoAnswer, Refused, Remote
from edge_matting.cli.output import complain, print_line
from edge_matting.core.errors import StartError

PAGE = 200


def run(options: argparse.Namespace) -> int:
    if not options.jobs and not options.failed:
        raise StartError("name the jobs to try again, or say --failed")
    remote = Remote.of(options)
    body = {} if options.model is None else {"model": options.model}
    status = 0
    try:
        for job in [*options.jobs, *(_failed(remote) if options.failed else [])]:
            try:
                remote.post(f"/api/v1/jobs/{job}/retry", body)
            except Refused as error:
                complain(f"job {job}: {error}")
                status = 1
            else:
                print_line(f"job {job}: back in the queue")
    except NoAnswer as error:
        complain(str(error))
        return 1
    return status


def _failed(remote: Remote) -> list[int]:
    jobs: list[int] = []
    before = ""
    while True:
        page = remote.get(f"/api/v1/jobs?state=failed&limit={PAGE}{before}")
        jobs += [job["id"] for job in page["jobs"]]
        if page.get("next_before") is None:
            return jobs
        before = f"&before={page['next_before']}"
