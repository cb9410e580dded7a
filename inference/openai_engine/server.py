"""Where a served model is: the address of its server, the key to it, and which model it serves."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from scene.errors import InputError, ModelNotFoundError
from scene.network import authorities, check_proxies
from scene.nouns import ModelIdentity

KEY = "OPENAI_API_KEY"
"""The environment variable that holds the key, as for every program that speaks to such a server."""

NO_KEY = "none"
"""Sent where no key is needed: the client insists on one."""

START_SECONDS = 10
"""How long the server may take to say which models it has."""

SHOWN_MODELS = 8
"""How many of the server's models an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An OpenAI-compatible server.

    Attributes:
        url: Its address up to where `/chat/completions` begins, without a slash at the end.
        key: Sent with every request. Never shown.
        local: Whether it is on this machine, so that no proxy leads to it.
    """

    url: str = field(repr=False)
    key: str = field(repr=False)
    local: bool

    @property
    def shown(self) -> str:
        """The address as it may be shown and kept: without user name and password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def server_at(base_url: str) -> Server:
    """The server at an address, with the key from the environment.

    Raises:
        InputError: It is no address of a server, or there is no key for one that is elsewhere.
    """
    parts = _split(base_url.strip())
    if parts is None:
        raise InputError(
            "The base URL is not the address of a server; give one such as http://127.0.0.1:8000/v1."
        )
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/")))
    local = _is_local(parts.hostname or "")
    key = os.environ.get(KEY, "").strip() or (NO_KEY if local else "")
    if not key:
        raise InputError(
            f"Set {KEY} for the server at {parts.hostname}; any word will do if it asks for none."
        )
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{KEY} holds characters that no key has; set it again.")
    return Server(url=url, key=key, local=local)


def served_model(server: Server, name: str) -> ModelIdentity:
    """The model to ask the server for.

    Under the name `default` it is the server's only one.

    Raises:
        ModelNotFoundError: It has no such model, or has several and none was named.
        InputError: No server answers there, it refuses the key, or is none of the kind.
    """
    models = _listed(server, anonymous=name == "default")
    some = ", ".join(list(models)[:SHOWN_MODELS]) + (", …" if len(models) > SHOWN_MODELS else "")
    if name == "default" and name not in models:
        if len(models) != 1:
            raise ModelNotFoundError(
                f"The server at {server.shown} has several models; name one with --model: {some}."
                if models
                else f"The server at {server.shown} lists no model; name the one it has with --model."
            )
        (name,) = models
    elif models and name not in models:
        alike = [listed for listed in models if _is_alike(listed, name)]
        if len(alike) != 1:
            raise ModelNotFoundError(f"The server at {server.shown} has no model {name!r}; it has {some}.")
        (name,) = alike
    revision = models.get(name, {}).get("revision")
    return ModelIdentity(
        id=name,
        revision=revision if isinstance(revision, str) else "served",
        engine="openai",
        details={"server": server.shown},
    )


def _split(base_url: str) -> SplitResult | None:
    """The parts of an address; None if it is none that paths can be added to."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and not parts.query and not parts.fragment else None


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_alike(listed: str, name: str) -> bool:
    """Whether a server means a model by another name for it: with Ollama's tag, or in a folder."""
    return f"{name}:latest" == listed or f"{listed}:latest" == name or listed.endswith(f"/{name}")


def _listed(server: Server, *, anonymous: bool) -> dict[str, dict[str, object]]:
    """What the server says of each of its models, by name.

    Nothing, where it lists none and the name is known all the same, which is then for the first request to
    tell: many have no such list, and `transformers serve` fails while the hub's cache is empty.
    """
    if not server.local:
        check_proxies()
    try:
        response = httpx.get(
            f"{server.url}/models",
            headers={"Authorization": f"Bearer {server.key}"},
            timeout=START_SECONDS,
            follow_redirects=True,
            trust_env=not server.local,
            verify=authorities(),
        )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last by a name of no host
        raise InputError(
            f"No server answers at {server.shown} ({error}); start it, or correct --base-url."
        ) from error
    status = response.status_code
    if status in (401, 403):
        raise InputError(key_refused(server))
    if status in (429, 503):
        raise InputError(f"The server at {server.shown} is not ready yet ({status}); try again when it is.")
    try:
        found = response.raise_for_status().json()
        entries = found["data"] if isinstance(found, Mapping) or not found else found  # some list them barely
        return {str(entry["id"]): entry for entry in entries}
    except (httpx.HTTPStatusError, ValueError, TypeError, LookupError, RecursionError) as error:
        if not anonymous:
            return {}
        raise InputError(
            f"{server.shown} lists no models as an OpenAI-compatible server does ({status}); "
            "its address usually ends in /v1; if this one is right, name the model with --model."
        ) from error


def key_refused(server: Server) -> str:
    """The sentence for a key that the server does not accept."""
    return f"The server at {server.shown} refuses the API key; set {KEY} to one that it accepts."
