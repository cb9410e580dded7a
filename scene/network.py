"""What the environment says about the network, looked at before anything is asked for.

Where they can't use it, the clients of servers and of the hub raise whatever comes.
"""

import ssl

import httpx

from scene.errors import InputError


def check_hub() -> None:
    """Find out whether the hub could be asked with what the environment says; nothing is sent.

    Raises:
        InputError: It couldn't.
    """
    from huggingface_hub import get_token
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return
    check_proxies()
    if not (get_token() or "").isascii():
        raise InputError("The hub's token holds characters that none has; correct HF_TOKEN, or log in again.")


def check_proxies() -> None:
    """Find out whether proxies and authorities can be used.

    Raises:
        InputError: They can't.
    """
    try:
        httpx.Client(verify=authorities()).close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        reason = str(error).partition(". ")[0].rstrip(".")
        raise InputError(
            f"The proxies that the environment names can't be used ({reason}); correct HTTP_PROXY, "
            "HTTPS_PROXY, ALL_PROXY or NO_PROXY."
        ) from error


def authorities() -> ssl.SSLContext:
    """Whom the environment trusts, which has nothing to do with whether it has a proxy.

    Raises:
        InputError: What it names can't be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"What SSL_CERT_FILE or SSL_CERT_DIR names can't be read ({reason}).") from error
