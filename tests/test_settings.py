"""Settings: where values come from, and that everything wrong is named with its place."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import NotFound, SettingsError
from ragstone.ingest.limits import ReadLimits
from ragstone.settings import SECTIONS, TABLES, IngestSettings, at, describe, find_file, load, user_file

HOME = {"HOME": "/home/someone"}


def toml(folder: Path, text: str) -> Path:
    file = folder / "ragstone.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_without_any_source() -> None:
    settings = load(None, HOME)
    assert settings.search.k == 10
    assert (settings.cache.policy, settings.cache.entries, settings.cache.ttl) == ("lru", 1000, 604_800)
    assert settings.answer.model == "extractive"
    assert settings.data.folder.name == "ragstone"
    assert settings.origin("search.k") == "default"


def test_limits_that_ship_are_those_of_the_readers() -> None:
    shipped = IngestSettings()
    for field in dataclasses.fields(ReadLimits):
        assert getattr(shipped, field.name) == getattr(ReadLimits(), field.name), field.name


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    file = toml(tmp_path, "[search]\nk = 4\ncandidates = 50\nmode = 'dense'\n[embedding]\nthreads = 2\n")
    settings = load(file, {"RAGSTONE_SEARCH__K": "5", "RAGSTONE_SEARCH__CANDIDATES": "60"}, {"search.k": 6})
    assert (settings.search.k, settings.search.candidates, settings.search.mode) == (6, 60, "dense")
    assert settings.origin("search.k") == "flag"
    assert settings.origin("search.candidates") == "environment RAGSTONE_SEARCH__CANDIDATES"
    assert settings.origin("search.mode") == f"{file}: search.mode"
    assert settings.origin("search.diversity") == "default"
    assert settings.file == file


def test_data_folder_by_its_own_variable() -> None:
    settings = load(None, {"RAGSTONE_DATA": "/srv/data"})
    assert settings.data.folder == Path("/srv/data")
    assert settings.origin("data.folder") == "environment RAGSTONE_DATA"


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    assert load(toml(tmp_path, "[data]\nfolder = 'inner'\n"), {}).data.folder == tmp_path / "inner"
    assert load(toml(tmp_path, "[data]\nfolder = '~/inner'\n"), HOME).data.folder == Path("/home/someone/inner")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serach]\nk = 1\n", ["[serach]", "Did you mean search?"]),
        ("[search]\nkk = 1\n", ["search.kk", "search.k?"]),
        ("[search]\nk = 'many'\n", ["search.k", "a whole number"]),
        ("[search]\nk = '10'\n", ["search.k", "a whole number"]),
        ("[search]\nk = true\n", ["search.k"]),
        ("[search]\nk = 101\n", ["search.k is 101", "from 1 to 100"]),
        ("[search]\nmode = 'fast'\n", ["search.mode", "hybrid, lexical, dense"]),
        ("[search]\ndense_weight = nan\n", ["search.dense_weight"]),
        ("[ingest]\nexclude = 'a'\n", ["ingest.exclude", "a list of texts"]),
        ("[ingest]\nfile_bytes = '5 parsecs'\n", ["ingest.file_bytes", "a size such as"]),
        ("search = 3\n", ["search", "section"]),
        ("[search\n", ["not valid TOML"]),
    ],
)
def test_mistakes_in_a_file_name_key_and_place(tmp_path: Path, text: str, said: list[str]) -> None:
    file = toml(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    for part in [str(file), *said]:
        assert part in str(caught.value)


def test_key_in_the_wrong_section_is_pointed_to_the_right_one() -> None:
    with pytest.raises(SettingsError, match=r"Did you mean ingest\.passwords"):
        load(None, {"RAGSTONE_ANSWER__PASSWORDS": "x"})


@pytest.mark.parametrize("name", ["RAGSTONE_SEARCH__KAY", "RAGSTONE_SERACH__K"])
def test_unknown_variables_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(None, {name: "1"})


def test_variables_of_a_container_platform_are_left_alone() -> None:
    loaded = load(None, {"RAGSTONE_PORT": "tcp://10.0.0.1:80", "RAGSTONE_SERVICE_HOST": "10.0.0.1"})
    assert loaded.origins == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [("52428800", 52_428_800), ("50 MiB", 52_428_800), ("1.5GB", 1_500_000_000), ("10kb", 10_000)],
)
def test_sizes(text: str, value: int) -> None:
    assert load(None, {"RAGSTONE_INGEST__FILE_BYTES": text}).ingest.file_bytes == value


@pytest.mark.parametrize("text", ["a,b", " a , b ", '["a", "b"]'])
def test_lists_from_the_environment(text: str) -> None:
    assert load(None, {"RAGSTONE_INGEST__EXCLUDE": text}).ingest.exclude == ("a", "b")


def test_empty_means_unset_where_there_may_be_none() -> None:
    settings = load(None, {"RAGSTONE_SEARCH__DENSE_WEIGHT": "", "RAGSTONE_EMBEDDING__PATH": ""})
    assert settings.search.dense_weight is None
    assert settings.embedding.path is None


def test_keys_come_from_the_variable_that_is_named() -> None:
    environ = {"RAGSTONE_ANSWER__API_KEY_ENV": "MY_KEY", "MY_KEY": "s3cret"}
    settings = load(None, environ)
    assert settings.answer.api_key == "s3cret"
    assert settings.origin("answer.api_key") == "environment MY_KEY"
    with pytest.raises(SettingsError, match="MY_KEY is not set"):
        load(None, {"RAGSTONE_ANSWER__API_KEY_ENV": "MY_KEY"})


def test_secrets_are_never_shown() -> None:
    settings = load(None, {"RAGSTONE_EMBEDDING__API_KEY": "s3cret", "RAGSTONE_INGEST__PASSWORDS": "s3cret,other"})
    assert "s3cret" not in repr(settings)
    shown = {key: value for key, value, _ in describe(settings)}
    assert shown["embedding.api_key"] == shown["ingest.passwords"] == "***"
    assert shown["answer.api_key"] == ""
    with pytest.raises(SettingsError) as caught:
        load(None, {}, {"ingest.passwords": 17_171_717})
    assert "17171717" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"embedding.path": "m", "embedding.endpoint": "http://127.0.0.1:1"},
        {"embedding.sha256": "00"},
        {"embedding.endpoint": "127.0.0.1:11434"},
        {"answer.base_url": "file:///etc/passwd"},
        {"answer.model": "gpt"},
        {"answer.model": "ollama:"},
        {"answer.model": "gateway"},
        {"gateway.chat": ["nobody"]},
        {"providers.a.kind": "openai"},
        {"providers.a.kind": "anthropic"},
        {"providers.a.base_url": "ftp://127.0.0.1"},
        {"providers.a.base_url": "http://127.0.0.1", "providers.a.input_price": 1.0},
        {"providers.a.base_uri": "http://127.0.0.1"},
        {"providers.Not Good.base_url": "http://127.0.0.1"},
        {"providers.a": "http://127.0.0.1"},
        {"embedding.precision": "int8", "embedding.provider": "cuda"},
        {"embedding.precision": "float16", "embedding.endpoint": "http://127.0.0.1:1"},
        {"embedding.precision": "float16", "embedding.model": "all-minilm-l6-v2"},
    ],
)
def test_contradictions(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        load(None, {}, values)


def test_providers_from_a_file_the_environment_and_flags(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        """
        [gateway]
        chat = ["here", "groq"]
        [providers.groq]
        base_url = "https://api.groq.com/openai/v1"
        api_key_env = "GROQ"
        [providers.here]
        kind = "gguf"
        model = "m.gguf"
        """,
    )
    environ = {**HOME, "GROQ": "s3cret", "RAGSTONE_PROVIDERS__GROQ__MAX_COST": "0.01"}
    settings = load(file, environ, {"providers.groq.model": "llama"})
    groq = settings.providers["groq"]
    assert list(settings.providers) == ["groq", "here"]
    assert (groq.kind, groq.model, groq.max_cost, groq.api_key) == ("openai", "llama", 0.01, "s3cret")
    shown = {key: (value, origin) for key, value, origin in describe(settings)}
    assert shown["providers.groq.api_key"] == ("***", "environment GROQ")
    assert shown["providers.groq.model"] == ("llama", "flag")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("text", ["providers = 3", "[providers]\na = 3", "[providers.a]\nmodle = 'x'", "[providers.A.b]"])
def test_mistakes_among_providers(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"ragstone\.toml"):
        load(toml(tmp_path, text), HOME)


def test_which_file(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert find_file(None, environ, tmp_path) is None
    mine = user_file(environ)
    mine.parent.mkdir(parents=True)
    mine.write_text("")
    assert find_file(None, environ, tmp_path) == mine
    here = toml(tmp_path, "")
    assert find_file(None, environ, tmp_path) == here
    assert find_file(None, {**environ, "RAGSTONE_CONFIG": "/x.toml"}, tmp_path) == Path("/x.toml")
    assert find_file(tmp_path / "given.toml", environ, tmp_path) == tmp_path / "given.toml"


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", {})


def test_at_moves_only_the_folder(tmp_path: Path) -> None:
    settings = load(None, HOME, {"search.k": 3})
    moved = at(tmp_path, settings)
    assert moved.data.folder == tmp_path
    assert moved.search.k == 3


KEYS = sorted(
    f"{name.replace('NAME', 'mine')}.{field.name}"
    for name, cls in {**SECTIONS, **TABLES}.items()
    for field in dataclasses.fields(cls)
)


@given(st.sampled_from(KEYS), st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.none()))
def test_any_value_is_taken_or_refused_by_name(key: str, value: object) -> None:
    try:
        load(None, HOME, {key: value})
    except SettingsError as error:
        named = key in str(error) or (key.startswith("providers.mine.") and "providers.mine" in str(error))
        assert named or "environment variable" in str(error)  # noqa: PT017


def test_every_setting_is_used() -> None:
    package = Path(__file__).resolve().parent.parent / "src/ragstone"
    code = "".join(p.read_text(encoding="utf-8") for p in package.rglob("*.py") if p.parent.name != "settings")
    limits = {field.name for field in dataclasses.fields(ReadLimits)}
    resolved = {"api_key_env"}  # becomes api_key while loading
    unused = [k for k in KEYS if (name := k.rpartition(".")[2]) not in limits | resolved and f".{name}" not in code]
    assert unused == []


def test_tables_of_numbers(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        '[budget]\nalerts = ["75"]\n[budget.limits]\nmonth = 20\n"team sales day" = 1.5\n'
        '[budget.prices]\n"openai/x" = [1, 2.5]\nlocal = [0, 0, 0]\n',
    )
    budget = load(file, {}).budget
    assert budget.limits == {"month": 20, "team sales day": 1.5}
    assert budget.prices == {"openai/x": (1, 2.5), "local": (0, 0, 0)}
    other = load(file, {"RAGSTONE_BUDGET__LIMITS": "{month = 3}"})
    assert (other.budget.limits, other.budget.prices) == ({"month": 3}, budget.prices)
    assert load(file, {"RAGSTONE_BUDGET__LIMITS": ""}).budget.limits is None
    for wrong in ("limits = 3", 'limits = {month = "3"}', "limits = {month = [3]}", "limits = {month = true}",
                  'prices = {x = ["1"]}', 'alerts = ["101"]', 'alerts = ["half"]', 'webhook = "ftp://x"'):  # fmt: skip
        with pytest.raises(SettingsError, match="budget"):
            load(toml(tmp_path, f"[budget]\n{wrong}\n"), {})
