"""Streams in the page: played while they are made, in even memory, until the page is left."""

from __future__ import annotations

import time

import httpx
import psutil
import pytest
from browsing import Visit, times, until
from playwright.sync_api import Locator, expect
from serving import ROOT, metric, only, own_process, resident_mb

FPS = 120


def started(visit: Visit, fps: float) -> float:
    """Seconds from the click to the first picture that moves."""
    visit.page.get_by_label("Frames a second").fill(str(fps))
    clicked = time.monotonic()
    visit.page.get_by_role("button", name="Stream without end").click()
    player = visit.page.locator("#generated video")
    until(lambda: player.count() == 1 and times(player)[0] > 0)
    return time.monotonic() - clicked


def assert_little_is_buffered(player: Locator) -> None:
    """Looks at it while the first 5 seconds are played."""
    ahead: list[float] = []

    def played() -> bool:
        now, end = player.evaluate("(player) => [player.currentTime, player.buffered.end(0)]")
        ahead.append(end - now)
        return now > 5

    until(played)
    assert ahead[-1] > 0
    assert max(ahead) < 15, "no more is read than is wanted soon"


def streams(address: str) -> float:
    with httpx.Client(base_url=address) as client:
        return metric(client, "rwae_streams")


def test_a_stream_plays_while_it_is_made_and_stops(visit, service):
    assert started(visit, 24) < 5, "a second, were the machine idle"
    assert_little_is_buffered(visit.page.locator("#generated video"))
    assert streams(service) == 1
    assert '"stream":true' in visit.page.locator("#curl").inner_text()
    visit.page.get_by_role("button", name="Cancel").click()
    until(lambda: streams(service) == 0, 10)
    expect(visit.page.locator("#problem")).to_be_empty()
    visit.swap()


def test_what_comes_at_once_is_buffered_in_pieces(visit, service):
    """Half a minute of video that the network delivers as fast as it can be read."""
    asked = {"stream": True, "frames": 30 * 24, "fps": 24}
    whole = httpx.post(f"{service}/generate", json=asked, timeout=120).raise_for_status()
    visit.page.route("**/generate", lambda route: route.fulfill(headers=dict(whole.headers), body=whole.content))
    started(visit, 24)
    assert_little_is_buffered(visit.page.locator("#generated video"))
    visit.page.get_by_role("button", name="Cancel").click()


def test_a_stream_ends_with_the_page(visit, service):
    started(visit, 24)
    assert streams(service) == 1
    visit.page.close()
    until(lambda: streams(service) == 0, 10)


def test_the_services_bound_is_said(context, tmp_path):
    with own_process(only(ROOT / "weights", tmp_path, "sprites"), tmp_path / "log", RWAE_MAX_STREAMS="0") as (
        address,
        _,
    ):
        visit = Visit(context.new_page(), address)
        visit.open()
        visit.page.get_by_role("button", name="Stream without end").click()
        expect(visit.page.locator("#problem")).to_contain_text("As many streams are running as may be, 0")
        visit.check()


@pytest.mark.slow
def test_ten_thousand_frames_play_in_even_memory(browser, tmp_path):
    """Two minutes: 10,000 frames at 120 a second, as large as the page shows them."""
    with own_process(only(ROOT / "weights", tmp_path, "sprites"), tmp_path / "log") as (address, process):
        visit = Visit(browser.new_page(), address)
        visit.open()
        first = started(visit, FPS)
        player = visit.page.locator("#generated video")
        memory = []
        while (at := times(player)[0]) * FPS < 10_000:
            memory.append((at, resident_mb(process.pid), browser_mb()))
            time.sleep(5)
            assert times(player)[0] > at, f"it stands still at {at:g} s"
            assert streams(address) == 1
        visit.page.close()
        until(lambda: streams(address) == 0, 10)
        visit.check()
        print(f"first picture after {first:.2f} s; seconds played, MB of service and browser: {memory}")
    settled = [each for each in memory if each[0] > 25]
    for column in (1, 2):
        values = [each[column] for each in settled]
        half = len(values) // 2
        assert max(values[half:]) < max(values[:half]) + 40, memory
    assert first < 3


def browser_mb() -> float:
    """Resident memory of all the browser's processes, what they share counted once for each."""
    family = psutil.Process().children(recursive=True)
    sizes = []
    for each in family:
        try:
            if "chrom" in each.name():
                sizes.append(each.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return sum(sizes) / 2**20
