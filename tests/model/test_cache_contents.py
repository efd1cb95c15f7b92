"""The cache stays small and is cleared, and what others have put there, or what is not of it, is left alone."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from panels import decode, encode, never, random_panel, same

from geneformer_codec import cache_contents, caches
from geneformer_codec.cache_contents import Entry, entries, remove
from geneformer_codec.cli.main import main
from geneformer_codec.errors import UsageError
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_cache import open_panel

PANELS = [random_panel(20_000, 30_000 + number) for number in range(4)]
DIGEST = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def used(panel: Panel, time: float, of_archive: bool = False) -> Path:
    """Open a panel, as if it were so many seconds after 1970."""
    open_panel(embed(panel, encode), decode, of_archive=of_archive)
    folder = caches.cache_directory() / ("self-panels" if of_archive else "panels") / panel.digest
    os.utime(folder, (time, time))
    return folder


class TestBound:
    def test_what_was_not_used_for_longest_goes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        folders = [used(panel, number) for number, panel in enumerate(PANELS[:3])]
        size = sum(entry.bytes for entry in entries())
        used(PANELS[0], 3)
        monkeypatch.setenv("GFZ_CACHE_SIZE", str(size))
        new = used(PANELS[3], 4)
        assert {entry.folder for entry in entries()} == {folders[0], folders[2], new}
        assert sum(entry.bytes for entry in entries()) <= size

    def test_what_is_in_use_stays_however_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        used(PANELS[0], 1)
        monkeypatch.setenv("GFZ_CACHE_SIZE", "1")
        new = used(PANELS[1], 2)
        assert [entry.folder for entry in entries()] == [new]
        assert same(open_panel(embed(PANELS[1], encode), never), PANELS[1])

    def test_those_of_archives_have_a_share(self, monkeypatch: pytest.MonkeyPatch) -> None:
        size = cache_contents.OF_ARCHIVES_SHARE * sum(file.stat().st_size for file in used(PANELS[0], 1).iterdir())
        monkeypatch.setenv("GFZ_CACHE_SIZE", str(size))
        used(PANELS[1], 2, of_archive=True)
        used(PANELS[2], 3, of_archive=True)
        assert [entry.kind for entry in entries()] == ["panels", "self-panels"]

    def test_a_panel_that_is_removed_stays_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        panel = open_panel(embed(PANELS[0], encode), decode)
        monkeypatch.setenv("GFZ_CACHE_SIZE", "1")
        used(PANELS[1], 2)
        assert same(panel, PANELS[0])
        assert np.array_equal(panel.seed_index(12, 2)[0], PANELS[0].packed.seed_index(12, 2)[0])

    @pytest.mark.parametrize("size", ["much", "0", "-1G"])
    def test_a_size_that_is_none(self, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GFZ_CACHE_SIZE", size)
        with pytest.raises(UsageError, match=r"GFZ_CACHE_SIZE: .* is no size; give one such as"):
            open_panel(embed(PANELS[0], encode), never)


class TestLocks:
    def test_none_stay(self, cache: Path) -> None:
        panel = open_panel(embed(PANELS[0], encode), decode)
        panel.seed_index(12, 2)
        assert not list(cache.rglob("*.lock"))

    def test_a_lock_that_was_removed_is_not_held(self, tmp_path: Path) -> None:
        """Who comes next makes a new one, which the first does not remove."""
        place = tmp_path / ".x.lock"
        first = caches.acquire(place, 0)
        with caches.held(first, place):
            with pytest.raises(TimeoutError):
                caches.acquire(place, 0)
            place.unlink()
            second = caches.acquire(place, 0)
        with caches.held(second, place), pytest.raises(TimeoutError):
            caches.acquire(place, 0)
        assert not place.exists()


class TestPlanted:
    """By another user, in a time when the folder was open to all."""

    @pytest.fixture
    def folder(self, cache: Path) -> Path:
        folder = cache / "panels" / PANELS[0].digest
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def opened_and_replaced(self, place: Path) -> None:
        assert same(open_panel(embed(PANELS[0], encode), decode), PANELS[0])
        assert stat.S_ISREG(place.lstat().st_mode)
        assert same(open_panel(embed(PANELS[0], encode), never), PANELS[0])

    def test_a_link(self, folder: Path, tmp_path: Path) -> None:
        """Its target is neither read nor written, even if it is the right file."""
        open_panel(embed(PANELS[0], encode), decode, tmp_path / "other")
        target = tmp_path / "other" / "panels" / PANELS[0].digest / "bases"
        before = target.stat()
        (folder / "bases").symlink_to(target)
        self.opened_and_replaced(folder / "bases")
        assert os.path.samestat(before, target.stat())
        assert before.st_mtime_ns == target.stat().st_mtime_ns

    def test_a_pipe(self, folder: Path) -> None:
        os.mkfifo(folder / "bases")
        self.opened_and_replaced(folder / "bases")

    def test_a_file_that_others_may_write(self, folder: Path) -> None:
        open_panel(embed(PANELS[0], encode), decode)
        (folder / "bases").chmod(0o666)
        self.opened_and_replaced(folder / "bases")
        assert stat.S_IMODE((folder / "bases").stat().st_mode) & 0o022 == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
    def test_a_file_of_another_user(self, folder: Path) -> None:
        open_panel(embed(PANELS[0], encode), decode)
        os.chown(folder / "bases", 12345, 12345)
        self.opened_and_replaced(folder / "bases")

    def test_a_link_in_place_of_the_lock(self, folder: Path, tmp_path: Path) -> None:
        (folder / ".bases.lock").symlink_to(tmp_path / "target")
        assert same(open_panel(embed(PANELS[0], encode), decode), PANELS[0])
        assert not (tmp_path / "target").exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
    @pytest.mark.parametrize("at", ["panels", f"panels/{PANELS[0].digest}"])
    def test_a_link_to_a_folder_of_ours(self, at: str, cache: Path, tmp_path: Path) -> None:
        (tmp_path / "ours").mkdir(mode=0o700)
        (cache / at).parent.mkdir(parents=True, mode=0o700)
        (cache / at).symlink_to(tmp_path / "ours")
        os.chown(cache / at, 12345, 12345, follow_symlinks=False)
        assert same(open_panel(embed(PANELS[0], encode), decode), PANELS[0])
        assert not list((tmp_path / "ours").iterdir())

    def test_a_folder_is_for_its_owner(self, cache: Path) -> None:
        old = os.umask(0)
        try:
            folder = used(PANELS[1], 1)
        finally:
            os.umask(old)
        assert {stat.S_IMODE(place.stat().st_mode) for place in (folder, folder.parent, cache)} == {0o700}
        assert stat.S_IMODE((folder / "bases").stat().st_mode) == 0o644


class TestCommand:
    def run(self, capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
        assert main(["cache", *arguments]) == status
        return capfd.readouterr()

    def test_shows_and_clears(self, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert self.run(capfd, "location") == (f"{cache}\n", "")
        assert self.run(capfd, "size")[0] == f"{cache}: 0 bytes; panels take 21,474,836,480 at most (GFZ_CACHE_SIZE)\n"
        assert self.run(capfd, "list") == ("", "")
        folders = used(PANELS[0], 86_400), used(PANELS[1], 2 * 86_400, of_archive=True)
        (cache / "kernels").mkdir(mode=0o700)
        (cache / "kernels" / "code-0123.kernel").write_bytes(b"x" * 100)
        sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]
        rows = [line.split("\t") for line in self.run(capfd, "list")[0].splitlines()]
        assert rows[0][0::3] == ["kernels", str(cache / "kernels")]
        assert rows[1:] == [
            ["self-panels", str(sizes[1]), "1970-01-03T00:00:00Z", str(folders[1])],
            ["panels", str(sizes[0]), "1970-01-02T00:00:00Z", str(folders[0])],
        ]
        assert [row["bytes"] for row in json.loads(self.run(capfd, "list", "--json")[0])] == [100, sizes[1], sizes[0]]
        facts = json.loads(self.run(capfd, "size", "--json")[0])
        assert (facts["bytes"], facts["kernels"]) == (100 + sum(sizes), 100)
        assert "removed 2 panels, " in self.run(capfd, "clear", "--unused-for", "30")[1]
        assert [entry.kind for entry in entries()] == ["kernels"]
        assert "removed 0 panels and compiled kernels, 100 bytes" in self.run(capfd, "clear")[1]
        assert [path.name for path in cache.rglob("*")] == ["panels", "self-panels"]

    def test_leaves_what_is_not_of_it(self, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The variable may name a directory with much else, such as folders of these names."""
        mine = [
            "panels/fish.fa",
            "panels/fish/bases",
            f"panels/{DIGEST}/notes",
            "kernels/kernel.c",
            "kernels/.x.tmp",
            "a",
        ]
        for name in mine:
            (cache / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            (cache / name).write_text(name)
        (cache / "panels" / DIGEST / "bases").write_text("x")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "bases").write_text("mine")
        (cache / "panels" / DIGEST[::-1]).symlink_to(tmp_path / "elsewhere")
        self.run(capfd, "clear")
        left = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
        assert left == set(mine)
        assert (tmp_path / "elsewhere" / "bases").read_text() == "mine"

    def test_leaves_what_is_being_built(self, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
        folder = used(PANELS[0], 1)
        lock = folder / ".seeds-12-2.lock"
        with caches.held(caches.acquire(lock, 0)):
            assert "removed 0 panels, 0 bytes; 1 stay, as a process is building them" in self.run(capfd, "clear")[1]
            assert not remove(Entry("panels", folder, 0, 0))
        assert "removed 1 panels" in self.run(capfd, "clear")[1]
        assert not folder.exists(), "nor a lock of a process that was killed"

    def test_files_of_other_users(self, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (cache / "panels").mkdir(parents=True)
        (cache / "panels").chmod(0o777)
        for action in ("list", "size", "clear"):
            printed = self.run(capfd, action, status=1)[1]
            assert f"{cache}/panels: other users may write to it (chmod go-w); set GFZ_CACHE" in printed
