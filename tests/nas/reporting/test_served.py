"""A served report: it shows what is on record now, tells when that changes, and answers nothing else."""

import http.client
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.record.journal import FILE_NAME
from nas.reporting.served import ADDRESS, LivePage, ReportServer
from tests.conftest import Run, start
from tests.nas.reporting.chromium import Chromium, find_chromium
from tests.nas.reporting.reported_runs import rewards_of, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", rewards_of(6))


@pytest.fixture
def server(run: Path) -> Iterator[ReportServer]:
    with ReportServer(LivePage((run,), 3, pytest.fail), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(server: ReportServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Return status and text of an answer."""
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=30)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def extend(run: Path) -> None:
    """Add four results to the run's journal, as a search does."""
    longer = write_run(run.parent / "longer", rewards_of(10))
    num_lines = len((run / FILE_NAME).read_text().splitlines())
    with (run / FILE_NAME).open("a") as journal:
        journal.writelines((longer / FILE_NAME).read_text().splitlines(keepends=True)[num_lines:])
    shutil.rmtree(longer)


def test_the_page_is_that_of_the_journal_as_it_is_now(server: ReportServer, run: Path) -> None:
    status, first = answer(server, "/")
    _, state = answer(server, "/state")
    assert status == 200
    assert f'data-state="{state}"' in first

    # The same bytes as long as nothing has changed, and another state as soon as something has.
    assert answer(server, "/") == (200, first)
    extend(run)
    _, later = answer(server, "/state")
    _, second = answer(server, "/")
    assert later != state
    assert f'data-state="{later}"' in second
    assert len(second) > len(first)


def test_a_replay_is_more_to_show(server: ReportServer, run: Path) -> None:
    _, state = answer(server, "/state")
    write_run(run / "replays" / "seed1", rewards_of(2))
    assert answer(server, "/state")[1] != state


def test_nothing_else_is_served(server: ReportServer, run: Path) -> None:
    before = sorted(run.rglob("*"))
    assert answer(server, f"/{FILE_NAME}")[0] == 404
    assert answer(server, "/../../etc/passwd")[0] == 404
    assert answer(server, "/", "POST")[0] == 501
    assert answer(server, "/", "DELETE")[0] == 501
    # A page of another site whose name was made to point here must not read it.
    assert answer(server, "/", host=f"evil.example:{server.server_port}")[0] == 403
    assert answer(server, "/", host=f"localhost:{server.server_port}")[0] == 200
    # At port 80 a browser leaves it out.
    assert answer(server, "/", host=ADDRESS)[0] == 200
    assert answer(server, "/", host=f"{ADDRESS}.evil.example")[0] == 403
    assert sorted(run.rglob("*")) == before


def test_a_fault_of_the_report_is_seen_and_a_browser_that_has_gone_is_not(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(line: str) -> None:
        raise RuntimeError("a fault of the report")

    # What is left out of a report is warned of.
    (run / "replays").mkdir()
    (run / "replays" / "seed1").symlink_to(write_run(tmp_path / "elsewhere", rewards_of(2)))
    with ReportServer(LivePage((run,), 3, broken), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(http.client.RemoteDisconnected):
                answer(server, "/")
            assert answer(server, "/state")[0] == 200
        finally:
            server.shutdown()
            thread.join()
        assert "RuntimeError: a fault of the report" in capfd.readouterr().err

        try:
            raise BrokenPipeError
        except BrokenPipeError:
            server.handle_error(None, (ADDRESS, 1))
        assert capfd.readouterr().err == ""


def test_a_run_without_trials_is_waited_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    with ReportServer(LivePage((run,), 3, pytest.fail), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            status, page = answer(server, "/")
            assert (status, "no trials yet" in page) == (200, True)
            extend(run)
            assert "no trials yet" not in answer(server, "/")[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
def test_an_open_page_shows_new_results_by_itself(server: ReportServer, run: Path) -> None:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found: install one, or name it in the environment variable CHROMIUM")
    with Chromium(path) as browser:
        browser.call("Page.navigate", url=server.url)
        browser.wait_for("document.getElementById('live')?.textContent.startsWith('Follows')")
        state = browser.value("document.getElementById('live').dataset.state")
        extend(run)
        # Between the two pages there is none.
        browser.wait_for(f"![undefined, '{state}'].includes(document.getElementById('live')?.dataset.state)")
        assert browser.errors == []


def test_the_command_serves_until_it_is_stopped(run: Path, tmp_path: Path) -> None:
    served = start("nas.report", [f"run={run}", "serve=true", "port=0"], tmp_path)
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert line.startswith(f"http://{ADDRESS}:")
        port = int(line.split("/")[2].rpartition(":")[2])
        connection = http.client.HTTPConnection(ADDRESS, port, timeout=30)
        connection.request("GET", "/state")
        assert connection.getresponse().status == 200
        connection.close()
        served.send_signal(signal.SIGINT)
        out, err = served.communicate(timeout=30)
    finally:
        served.kill()
        served.wait()
    assert (served.returncode, out, err) == (0, "ended\n", "")
    assert not (run / "report.html").exists()


def test_mistakes_are_one_line(call: Run, run: Path) -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, words in (
            ([f"run={run}", "serve=true", f"port={port}"], "port=0 takes any port that is free"),
            ([f"run={run}", "serve=true", "port=70000"], "port must be from 0 to 65535"),
            ([f"run={run}", "serve=true", "out=page.html"], "is not written"),
            (["run=nowhere", "serve=true"], "nowhere"),
            (["run=[]", "serve=true"], "one folder or more"),
            ([f"run=[{run},{run}]", "serve=true"], "given twice"),
        ):
            done = call("nas.report", *options)
            assert done.returncode == 2
            assert words in done.stderr
            assert len(done.stderr.splitlines()) == 1
