from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import InputError, LimitExceeded, NotFound, Unreadable
from ragstone.ingest import sources
from ragstone.ingest.names import path_of, uri_of
from ragstone.ingest.sources import Source, SourceOptions, changed, discover, load


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def names(root: Path, found: list[Source]) -> list[str]:
    return [os.path.relpath(source.path, root) for source in found]


# ---------------------------------------------------------------------- walking
def test_files_come_in_order_without_hidden_ones(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "a/z.txt", "a/.hidden", ".git/config", "CVS/Root", "c/.venv/x", "a/B.txt")
    assert names(tmp_path, list(discover([tmp_path]))) == ["a/B.txt", "a/z.txt", "b.txt"]
    with_hidden = list(discover([tmp_path], SourceOptions(hidden=True)))
    assert names(tmp_path, with_hidden) == ["a/.hidden", "a/B.txt", "a/z.txt", "b.txt", "c/.venv/x"]


def test_each_file_comes_once_whichever_way_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.txt", "a/y.txt")
    monkeypatch.chdir(tmp_path)
    found = list(discover(["a/y.txt", "./a", str(tmp_path / "a" / ".." / "a"), "a/*.txt"]))
    assert names(tmp_path, found) == ["a/y.txt", "a/x.txt"]
    assert found[0].uri == str(tmp_path / "a" / "y.txt")


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that somebody unpacked may hold a thousand folders in each other."""
    depth = 1_200
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    Path("deep.txt").write_text("found")
    monkeypatch.chdir(tmp_path)
    try:
        (source,) = discover([str(tmp_path)])
        assert load(source).data == b"found"
    finally:
        subprocess.run(["rm", "-rf", "d"], check=True)  # shutil.rmtree calls itself for each level


def test_globs_are_expanded(tmp_path: Path) -> None:
    make(tmp_path, "a/1.md", "a/b/2.md", "a/3.txt")
    assert names(tmp_path, list(discover([f"{tmp_path}/**/*.md"]))) == ["a/1.md", "a/b/2.md"]
    assert names(tmp_path, list(discover([f"{tmp_path}/a/*.md"]))) == ["a/1.md"]


def test_a_name_with_glob_characters_is_itself(tmp_path: Path) -> None:
    make(tmp_path, "a[1].txt", "a1.txt")
    assert names(tmp_path, list(discover([tmp_path / "a[1].txt"]))) == ["a[1].txt"]


@pytest.mark.parametrize(("path", "said"), [("none", "does not exist"), ("none/*.md", "nothing matches")])
def test_what_does_not_exist_is_said_at_once(tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        discover([tmp_path, tmp_path / path])


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InputError):
        discover([path])


def test_excluded_paths_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "drafts/b.md", "x/drafts/c/d.md", "x/e.log")
    found = list(discover([tmp_path], SourceOptions(exclude=("**/drafts/**", "*.log"))))
    assert names(tmp_path, found) == ["a.md"]


def test_ignore_files_hold_for_their_folder(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "build/x", "sub/build/x", "sub/a.log", "sub/only/b.txt", "only/b.txt")
    make(tmp_path, "f/build")
    (tmp_path / ".ragstoneignore").write_text("# comment\n\n*.log\n!keep.log\n/build\nbuild/\n")
    (tmp_path / "sub" / ".ragstoneignore").write_text("only/b.txt\n")
    assert names(tmp_path, list(discover([tmp_path]))) == ["f/build", "keep.log", "only/b.txt"]
    assert len(list(discover([tmp_path], SourceOptions(ignore_files=False)))) == 8


def test_a_data_folder_is_never_a_source(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "kb/ragstone.db", "kb/write.lock", "kb/segments/x")
    assert names(tmp_path, list(discover([tmp_path]))) == ["a.txt"]


# ---------------------------------------------------------------------- what is refused
def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "in/a.txt", "out/secret.txt")
    (tmp_path / "in" / "inside").symlink_to(tmp_path / "in" / "a.txt")
    (tmp_path / "in" / "outside").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "outside.txt").symlink_to(tmp_path / "out" / "secret.txt")
    found = list(discover([tmp_path / "in"]))
    assert names(tmp_path, found) == ["in/a.txt", "in/outside", "in/outside.txt"]
    assert [source.skipped for source in found] == [False, True, True]
    for source in found[1:]:
        with pytest.raises(Unreadable, match="symbolic link"):
            load(source)


def test_a_link_given_by_name_is_skipped_and_its_target_named(tmp_path: Path) -> None:
    make(tmp_path, "real/a.txt")
    (tmp_path / "link").symlink_to("real")
    [found] = discover([tmp_path / "link"])
    assert found.skipped
    assert found.problem is not None
    assert str(tmp_path / "real") in found.problem.hint


def test_links_above_the_given_path_are_resolved(tmp_path: Path) -> None:
    make(tmp_path, "real/a.txt")
    (tmp_path / "link").symlink_to("real")
    [found] = discover([tmp_path / "link" / "a.txt"])
    assert found.uri == str(tmp_path / "real" / "a.txt")
    assert load(found).data == b"real/a.txt"


def test_a_folder_that_turns_into_a_link_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "in/sub/a.txt", "out/a.txt")
    [found] = discover([tmp_path / "in"])
    (tmp_path / "in" / "sub").rename(tmp_path / "old")
    (tmp_path / "in" / "sub").symlink_to(tmp_path / "out")
    with pytest.raises(Unreadable):
        load(found)


def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the name of a socket must be short
        server.bind("socket")
        found = list(discover([tmp_path]))
    assert names(tmp_path, found) == ["a.txt", "pipe", "socket"]
    assert [source.skipped for source in found] == [False, True, True]
    [device] = discover(["/dev/null"])
    assert device.skipped


def test_a_file_that_turns_into_a_pipe_does_not_block(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    [found] = discover([tmp_path])
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(Unreadable, match="regular file"):
        load(found)


def test_a_file_that_vanished_is_unreadable(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    [found] = discover([tmp_path])
    (tmp_path / "a.txt").unlink()
    with pytest.raises(Unreadable, match="vanished"):
        load(found)


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is unreadable to the superuser")
def test_without_permission_the_rest_goes_on(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.txt", "c/d.txt")
    (tmp_path / "a.txt").chmod(0)
    (tmp_path / "c").chmod(0)
    found = list(discover([tmp_path]))
    (tmp_path / "c").chmod(0o700)
    assert names(tmp_path, found) == ["a.txt", "b.txt", "c"]
    assert found[2].folder
    with pytest.raises(Unreadable, match="permission"):
        load(found[0])


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(2 << 30)
    make(tmp_path, "small")
    big, small = discover([tmp_path])
    with pytest.raises(LimitExceeded, match="2,147,483,648 bytes"):
        load(big)
    assert load(small, 5).data == b"small"
    with pytest.raises(LimitExceeded):
        load(small, 4)


def test_an_empty_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", (5, 7))
    [found] = discover([tmp_path])
    blob = load(found)
    assert (blob.data, blob.modified) == (b"", 7.0)


# ---------------------------------------------------------------------- names
def test_odd_names_give_safe_uris_and_are_read(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.txt", b"new\nline", b"esc\x1b[31m", "bidi\u202e.txt".encode(), b"back\\x41", "ü".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    found = list(discover([tmp_path]))
    assert len(found) == 6
    for source in found:
        source.uri.encode()
        assert source.uri.isprintable()
        assert path_of(source.uri) == source.path
        assert load(source).data == os.fsencode(Path(source.path).name)


@given(st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name))
def test_uris_can_be_undone(name: bytes) -> None:
    path = "/" + os.fsdecode(name)
    uri = uri_of(path)
    uri.encode()
    assert "!/" not in uri
    assert path_of(uri) == path
    assert path_of(uri + "!/member") == path


odd_names = st.text(st.sampled_from("\\x5cf0!/\udcff\n"), max_size=12)


@given(odd_names, odd_names)
def test_two_names_never_share_a_uri(one: str, other: str) -> None:
    assert (uri_of(one) == uri_of(other)) == (one == other)


# ---------------------------------------------------------------------- following
def test_changed_files_follow_the_same_rules(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", ".hidden/b.txt", "x/c.log", "x/d.txt", "x/new/e.txt")
    (tmp_path / "x" / ".ragstoneignore").write_text("*.log\n")
    touched = ("a.txt", ".hidden/b.txt", "x/c.log", "x/new", "x/new/e.txt", "gone", "../elsewhere")
    changes = sources.Changes((str(tmp_path),), tuple(str(tmp_path / name) for name in touched), ())
    found = list(changed(changes))
    assert names(tmp_path, found) == ["a.txt", "x/new/e.txt", "gone"]
    assert load(found[1]).data == b"x/new/e.txt"
    with pytest.raises(Unreadable):
        load(found[2])


def test_watching_tells_what_changed_and_what_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SETTLE_MS", 300)
    monkeypatch.setattr(sources, "STEP_MS", 50)
    root = make(tmp_path / "root", "old.txt", "gone.txt")
    stop = threading.Event()
    seen: list[sources.Changes] = []
    arrived = threading.Event()

    def follow() -> None:
        for changes in sources.watch([root], stop=stop):
            seen.append(changes)
            arrived.set()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        for _ in range(50):  # until the watch stands
            make(root, "old.txt")
            if arrived.wait(0.2):
                break
        (root / "gone.txt").unlink()
        make(root, "new.txt", ".hidden")
        deadline = threading.Event()
        for _ in range(100):
            paths = {path for changes in seen for path in changes.changed}
            if str(root / "new.txt") in paths and any(changes.removed for changes in seen):
                break
            deadline.wait(0.1)
    finally:
        stop.set()
        thread.join()
    assert {path for changes in seen for path in changes.removed} == {str(root / "gone.txt")}
    touched = {path for changes in seen for path in changes.changed}
    assert {str(root / "old.txt"), str(root / "new.txt")} <= touched
    assert str(root / ".hidden") not in touched
    assert seen[0].roots == (str(root),)


def test_changes_in_a_data_folder_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "data/ragstone.db", "data/write.lock", "data/ragstone.db-wal", "data/segments/x.seg")
    touched = ("a.txt", "data/ragstone.db", "data/ragstone.db-wal", "data/segments/x.seg", "data")
    found = changed(sources.Changes((str(tmp_path),), tuple(str(tmp_path / name) for name in touched), ()))
    assert names(tmp_path, list(found)) == ["a.txt"]
