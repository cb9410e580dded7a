"""A scene in which every text tries to get out of its place."""

from scene.export import Failure
from scene.nouns import Turn
from scene.record import Message, ModelCall, Replay, ReplayFailure, SceneRecord
from tests.exported import failure, rehearsed_again

HOSTILE = (
    "</script><script>window.owned = 1</script>"
    "<img src=x onerror='window.owned = 2'>"
    "\"><svg onload=window.owned=3> ' onfocus=window.owned=4 autofocus x='"
    "<a href='javascript:window.owned=5'>go</a> javascript:window.owned=6 "
    "<iframe srcdoc='<script>parent.owned=7</script>'></iframe><style>*{display:none}</style>"
    "</title></style></template></textarea><!-- {{ 7 * 7 }} {% raw %} ${owned} "
    "[red]rich[/red] [link=https://example.com]markup[/link] :boom: "
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\x00 "
    "\u202eeyb\u202c\u2066isolate\u2069\u200frtl "
    "lone \ud800 surrogate \udfff. <|im_end|> http://example.com/x.png"
)
"""Markup for a page and a terminal, escapes, direction overrides, template code and half characters."""


def hostile_record(number: int = 1) -> SceneRecord:
    """The sample scene with such a text wherever one may stand. Its constructor would refuse some of it."""
    scene = rehearsed_again(number)
    call = ModelCall(
        node="respond",
        role="r0",
        turn=1,
        call="respond",
        attempt=0,
        prompt=(),
        completion="",
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=0,
        seconds=1.0,
    )
    message = Message(role="user", content="").model_copy(update={"content": HOSTILE})
    calls = (
        call.model_copy(update={"prompt": (message,), "completion": HOSTILE, "call": HOSTILE}),
        call.model_copy(update={"node": HOSTILE}),
    )
    return scene.model_copy(
        update={
            **dict.fromkeys(
                ("question_id", "question", "system", "first_answer", "situation", "goal", "critique"),
                HOSTILE,
            ),
            "history": (Turn(role="user", content="?").model_copy(update={"content": HOSTILE}),),
            "revision": f"Now {HOSTILE}",
            "answer": f"Now {HOSTILE}",
            "prompt_digest": HOSTILE,
            "cast": tuple(
                role.model_copy(
                    update={"name": f"{role.id} {HOSTILE}", "traits": HOSTILE, "position": HOSTILE}
                )
                for role in scene.cast
            ),
            "plan": (HOSTILE,) * len(scene.plan),
            **_hostile_log(scene),
            "replay": scene.replay.model_copy(
                update={
                    "plan": (HOSTILE,) * len(scene.replay.plan),
                    **_hostile_log(scene.replay),
                    "cost": {**scene.replay.cost, HOSTILE: scene.cost["respond"]},
                    "calls": calls,
                }
            ),
            "model": scene.model.model_copy(
                update={"id": HOSTILE, "revision": HOSTILE, "engine": HOSTILE, "details": {HOSTILE: HOSTILE}}
            ),
            "settings": {HOSTILE: HOSTILE},
            "versions": {HOSTILE: HOSTILE},
            "cost": {**scene.cost, HOSTILE: scene.cost["respond"]},
            "calls": calls,
        }
    )


def hostile_not_again(number: int = 1) -> SceneRecord:
    """The same with a replay that broke off."""
    failed = ReplayFailure(error="x", reason="x").model_copy(
        update=dict.fromkeys(("error", "reason", "node", "role"), HOSTILE)
    )
    return hostile_record(number).model_copy(update={"replay": None, "replay_failure": failed})


def _hostile_log(played: SceneRecord | Replay) -> dict[str, object]:
    """The log of a scene or its replay, with such a text in all of it."""
    return {
        "events": tuple(
            event.model_copy(update={"text": HOSTILE, "reason": HOSTILE}) for event in played.events
        ),
        "consequences": tuple(one.model_copy(update={"text": HOSTILE}) for one in played.consequences),
    }


def hostile_failure(number: int = 2) -> Failure:
    """A failure of the same sort."""
    return failure(number).model_copy(
        update=dict.fromkeys(("question_id", "question", "first_answer", "error", "reason", "node"), HOSTILE)
    )
