"""Finding a server and its model: what is taken, and the one sentence for each thing that is wrong."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from inference.loading import load_engine
from inference.openai_engine.server import Server, served_model, server_at
from scene.errors import InputError, ModelNotFoundError
from tests.inference.openai_engine.driving import ask
from tests.loopback import Exchange, Loopback, lists, loopback, refuses, says


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MONOPOLYLOGUE_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with loopback(says("Well.")) as server:
        yield server


def refusal(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        load_engine(*arguments, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


class TestAddress:
    @pytest.mark.parametrize(
        ("given", "url", "shown"),
        [
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
            (" http://localhost/v1/ ", "http://localhost/v1", "http://localhost/v1"),
            ("http://[::1]:80/v1", "http://[::1]:80/v1", "http://[::1]:80/v1"),
            ("https://ann:p%40@127.0.0.1/v1", "https://ann:p%40@127.0.0.1/v1", "https://127.0.0.1/v1"),
        ],
    )
    def test_is_taken(self, given: str, url: str, shown: str) -> None:
        server = server_at(given)
        assert (server.url, server.shown, server.key, server.local) == (url, shown, "none", True)
        assert "ann" not in repr(server)

    @pytest.mark.parametrize(
        "given",
        [
            "", "127.0.0.1:8000", "localhost:8000/v1", "ftp://127.0.0.1/v1", "http://", "http:///v1",
            "http://127.0.0.1:port/v1", "http://127.0.0.1:99999/v1", "http://[::1/v1",
            "http://127.0.0.1/v1?key=1", "http://127.0.0.1/v1#x", "\x00",
        ],
    )  # fmt: skip
    def test_is_none(self, given: str) -> None:
        with pytest.raises(InputError, match="is not the address of a server"):
            server_at(given)

    def test_elsewhere_needs_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputError, match=r"Set OPENAI_API_KEY for the server at example\.org"):
            server_at("https://example.org/v1")
        monkeypatch.setenv("OPENAI_API_KEY", " sk-secret\n")
        server = server_at("https://example.org/v1")
        assert (server.key, server.local) == ("sk-secret", False)
        assert "secret" not in repr(server)

    @pytest.mark.parametrize("key", ["sk\nsecret", "sk-\N{SNOWMAN}secret"])
    def test_a_key_that_no_header_can_carry(self, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(InputError, match="no key has") as caught:
            server_at("http://127.0.0.1/v1")
        assert "ecret" not in str(caught.value)


class TestModel:
    def test_the_only_one_is_taken(self, server: Loopback) -> None:
        identity = served_model(server_at(server.url), "default")
        assert (identity.id, identity.revision, identity.engine) == ("parrot", "served", "openai")
        assert identity.details == {"server": server.url}

    def test_one_of_several_by_name(self, server: Loopback) -> None:
        server.list_models = lists("parrot", "default", revision="abc")
        assert served_model(server_at(server.url), "parrot").revision == "abc"
        assert served_model(server_at(server.url), "default").id == "default"

    def test_none_of_several(self, server: Loopback) -> None:
        server.list_models = lists(*(f"m{number}" for number in range(9)))
        with pytest.raises(ModelNotFoundError) as caught:
            served_model(server_at(server.url), "default")
        assert str(caught.value) == (
            f"The server at {server.url} has several models; name one with --model: "
            "m0, m1, m2, m3, m4, m5, m6, m7, …."
        )
        with pytest.raises(ModelNotFoundError, match=r"has no model 'parrot'; it has m0, m1, "):
            served_model(server_at(server.url), "parrot")

    def test_a_server_that_lists_none_has_the_one_that_is_named(self, server: Loopback) -> None:
        """As `transformers serve` does, which lists the hub's cache and loads what it is asked for."""
        for act in (
            lists(), refuses(500), refuses(501), refuses(404), refuses(405), says("Hi."),
            lambda x: x.send([]), lambda x: x.send("<html>"), lambda x: x.send({"data": ["parrot"]}),
        ):  # fmt: skip
            server.list_models = act
            assert served_model(server_at(server.url), "/models/parrot").id == "/models/parrot"
        server.list_models = lists()
        with pytest.raises(ModelNotFoundError, match="lists no model; name the one it has with --model"):
            served_model(server_at(server.url), "default")

    def test_a_bare_list(self, server: Loopback) -> None:
        server.list_models = lambda exchange: exchange.send([{"id": "m", "revision": "abc"}])
        for name in ("m", "default"):
            identity = served_model(server_at(server.url), name)
            assert (identity.id, identity.revision) == ("m", "abc")

    @pytest.mark.parametrize(
        ("listed", "name", "meant"),
        [
            (("m:latest", "n:7b"), "m", "m:latest"),
            (("m", "m:latest"), "m", "m"),
            (("m", "n"), "m:latest", "m"),
            (("models/m", "models/n"), "m", "models/m"),
        ],
    )
    def test_another_name_for_it(
        self, server: Loopback, listed: tuple[str, ...], name: str, meant: str
    ) -> None:
        server.list_models = lists(*listed)
        assert served_model(server_at(server.url), name).id == meant

    @pytest.mark.parametrize("listed", [("a/m", "b/m"), ("m:7b",), ("xm:latest",)])
    def test_what_may_be_another_model(self, server: Loopback, listed: tuple[str, ...]) -> None:
        server.list_models = lists(*listed)
        with pytest.raises(ModelNotFoundError, match="has no model 'm'; it has"):
            served_model(server_at(server.url), "m")

    @pytest.mark.parametrize(
        ("act", "words"),
        [
            (refuses(401), "refuses the API key; set OPENAI_API_KEY"),
            (refuses(503, "Loading model"), "is not ready yet (503)"),
            (refuses(404), "its address usually ends in /v1"),
            (refuses(500), "its address usually ends in /v1"),
            (lambda exchange: exchange.send("<html>", Content_Type="text/html"), "lists no models as"),
            (lambda exchange: exchange.send([]), "lists no models as"),
            (lambda exchange: exchange.send({"data": None}), "lists no models as"),
            (lambda exchange: exchange.send({"data": ["parrot"]}), "lists no models as"),
        ],
    )
    def test_what_is_no_list(self, server: Loopback, act, words: str) -> None:
        server.list_models = act
        assert words in refusal(base_url=server.url)

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        sentence = refusal(base_url=f"http://ann:secret@127.0.0.1:{port}/v1")
        assert sentence.startswith(f"No server answers at http://127.0.0.1:{port}/v1 (")
        assert sentence.endswith("; start it, or correct --base-url.")

    def test_authorities_that_cannot_be_read(
        self, server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        for name in ("ca.pem", "none.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
            assert "SSL_CERT_FILE" in refusal(base_url=server.url)

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("http_proxy", "foo://bar", "proxies that the environment names can't be used (Unknown scheme"),
            ("NO_PROXY", "[::1]", "proxies that the environment names can't be used (Invalid port"),
            ("SSL_CERT_FILE", "/none", "SSL_CERT_FILE"),
        ],
    )
    def test_an_environment_that_no_client_can_use(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv(name, value)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        assert words in refusal(base_url="http://model.invalid/v1")
        assert words in refusal("somebody/something")

    def test_a_token_that_no_header_can_carry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_…")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        assert "correct HF_TOKEN" in refusal("somebody/something")

    @pytest.mark.parametrize("host", ["a..b", f"{'a' * 70}.com"])
    def test_the_name_of_no_host(self, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        assert "No server answers" in refusal(base_url=f"http://{host}/v1")

    def test_nothing_said(self, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("inference.openai_engine.server.START_SECONDS", 0.1)
        server.list_models = Exchange.wait_for_disconnect
        assert "No server answers" in refusal(base_url=server.url)


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"engine": "openai"}, "The engine `openai` needs a server; give --base-url"),
            ({"base_url": ""}, "The engine `openai` needs a server; give --base-url"),
            ({"base_url": "URL", "engine": "llama"}, "The engine `llama` runs here, not on a server"),
            ({"base_url": "URL", "dtype": "float32"}, "The server decides on dtype and device"),
            ({"base_url": "URL", "device": "cuda"}, "The server decides on dtype and device"),
            ({"structured": False}, "--no-structured is about a server"),
        ],
    )
    def test_that_do_not_go_together(
        self, server: Loopback, options: dict[str, object], sentence: str
    ) -> None:
        if options.get("base_url") == "URL":
            options = options | {"base_url": server.url}
        assert refusal("tiny", **options).startswith(sentence)
        assert not server.gets

    @pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "²"])
    def test_no_number_of_requests(
        self, server: Loopback, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("MONOPOLYLOGUE_CONCURRENCY", value)
        assert "MONOPOLYLOGUE_CONCURRENCY must be a whole number from 1 on" in refusal(base_url=server.url)

    def test_the_engine_follows_from_the_address(self, server: Loopback) -> None:
        for engine in ("auto", "openai"):
            served = load_engine("parrot", engine=engine, base_url=server.url)
            assert served.identity.engine == "openai"
            served.close()

    def test_the_extra_that_is_missing(self, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install 'monopolylogue[openai]'" in refusal(base_url=server.url)


@pytest.fixture
def certified(server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of the server behind a certificate of an authority in `ca.pem`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    monkeypatch.chdir(tmp_path)
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9"
    for line in (
        f"{new} -keyout ca.key -out ca.pem -subj /CN=CA -addext keyUsage=critical,keyCertSign",
        f"{new} -keyout key -out cert.pem -subj /CN=localhost -CA ca.pem -CAkey ca.key "
        "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE",
    ):
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http", "https")


async def test_an_authority_of_one_s_own(certified: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts on loopback too, though no proxy does."""
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:9")
    engine = load_engine(base_url=certified)
    assert (await engine.generate(ask())).text == "Well."
    engine.close()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "CERTIFICATE_VERIFY_FAILED" in refusal(base_url=certified)


def test_a_server_never_shows_its_key() -> None:
    assert "secret" not in repr(Server(url="http://a:secret@h/v1", key="secret", local=False))
