"""Whatever valid acts come in whatever order, a replay is what step after step gave; and whatever
byte of them is altered, the server does not start."""

from __future__ import annotations

import datetime
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from juki.audit.log import FileAuditLog
from juki.domain.errors import JukiError
from juki.policy.acts.document import document_from
from juki.policy.acts.files import act_file, read_acts
from juki.policy.acts.register import Register
from juki.policy.acts.replay import History
from juki.v1 import acts_pb2 as pb
from tests.acts_fixtures import PENSION, TAX, Office, body, day, grant, revoke, terms, withdraw

ROWS = ("1:77", "1:74", "1:41")
BODIES = (PENSION, TAX)

dispositions = st.one_of(
    st.builds(body, st.sampled_from(BODIES)),
    st.builds(grant, st.sampled_from(BODIES), st.sampled_from(ROWS)),
    st.builds(
        lambda identity, row: grant(identity, row, terms(fields=[1, 2])),
        st.sampled_from(BODIES),
        st.sampled_from(ROWS),
    ),
    st.builds(revoke, st.sampled_from(BODIES), st.sampled_from(ROWS)),
    st.builds(withdraw, st.sampled_from(BODIES)),
    st.builds(
        lambda identity, office: pb.ActDisposition(
            register_department=pb.RegisterDepartment(body=identity, office=office)
        ),
        st.sampled_from(BODIES),
        st.sampled_from(("審査課", "給付課")),
    ),
)
steps = st.lists(
    st.tuples(
        st.lists(dispositions, min_size=1, max_size=3),
        st.integers(0, 3),  # days until it comes into force; 0: at once
        st.integers(0, 4),  # days that it lasts; 0: without an end
        st.integers(0, 30),  # hours until the next act
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_a_replay_of_any_prefix_is_what_step_after_step_gave(
    chosen: list[tuple[list[pb.ActDisposition], int, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Path(folder))
        with FileAuditLog(office.audit_directory) as audit:
            office.propose(body(), grant())
            office.approve()
            register = office.open(audit)
            states: list[tuple[History, datetime.datetime]] = [(office.history(), office.now)]
            for done, ahead, lasting, hours in chosen:
                office.now += datetime.timedelta(hours=hours)
                with suppress(JukiError):  # cannot be done as things stand
                    path = office.propose(
                        *done,
                        in_force_from=day(office.now, ahead) if ahead else "",
                        last_day=day(office.now, ahead + lasting) if lasting else "",
                    )
                    with suppress(JukiError):
                        office.approve()
                    if register.take_in():
                        states.append((office.history(), office.now))
                    path.unlink(missing_ok=True)
        stepwise = Register()
        for position, (history, now) in enumerate(states):
            found = history.acts[position]
            stepwise = stepwise.apply(found.act, found.accepted_at)
            assert found.accepted_at == now
            assert stepwise == history.register
            for later in (now, now + datetime.timedelta(days=2)):
                assert document_from(stepwise, later) == document_from(history.register, later)
        # The whole log again, act by act, read from the files alone.
        names = [path.name for path, _ in read_acts(office.directory)]
        assert len(names) == len(states)
        for count in range(len(names), 0, -1):
            assert office.history() == states[count - 1][0]
            act_file(office.directory, count).unlink()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A log of three acts."""
    office = Office(tmp_path_factory.mktemp("log"))
    with FileAuditLog(office.audit_directory) as audit:
        office.propose(body(), grant())
        office.approve()
        register = office.open(audit)
        office.propose(body(TAX), grant(TAX, "1:74"))
        office.approve()
        assert register.take_in() == 1
        office.propose(revoke())
        assert register.take_in() == 1
    return office


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_byte_of_the_acts_log_altered_anywhere_refuses_the_start(
    log: Office, data: st.DataObject
) -> None:
    path = act_file(log.directory, data.draw(st.integers(1, 3)))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    altered = data.draw(st.integers(1, 255))
    path.write_bytes(content[:place] + bytes([content[place] ^ altered]) + content[place + 1 :])
    try:
        with pytest.raises(JukiError) as refusal:
            log.history()
        assert path.name in refusal.value.message
    finally:
        path.write_bytes(content)
    assert len(log.history().acts) == 3


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_an_act_that_is_cut_off_refuses_the_start(log: Office, kept: int) -> None:
    path = act_file(log.directory, 3)
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    try:
        with pytest.raises(JukiError, match=r"00000003\.act"):
            log.history()
    finally:
        path.write_bytes(content)
