"""Two processes on one database never give a number twice, nor a code two numbers."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sqlalchemy import Engine, func, select

from national_server import tables as t
from tests.number_process import allot, make


def test_two_processes_and_their_threads_share_one_registry(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    codes = allot(url, 2_000)
    # Two share the middle third; where they do not, the narrow space has them meet in numbers.
    shares = [codes[:1_300], codes[700:], codes[:1_300][::-1], codes[700:][::-1]]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        jobs = [processes.submit(make, url, share, 40) for share in shares]
        answers = [job.result() for job in jobs]
    numbers: dict[str, str] = {}
    for answer in answers:
        for code, number in answer.items():
            assert numbers.setdefault(code, number) == number
    assert len(numbers) == len(set(numbers.values())) == 2_000
    with engine.connect() as connection:
        held = connection.scalar(select(func.count()).select_from(t.individual_number))
    assert held == 2_000
