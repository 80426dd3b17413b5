"""A traceback that was taken apart and put together again reads like the original."""

from __future__ import annotations

import pickle
import traceback
import weakref

import pytest

from allcores._objects.tracebacks import FRAMES_KEPT, format_traceback, rebuild_traceback, take_apart


def on_one_line(x: int) -> float:
    return 1 + 2 / x + 3


def over_several_lines(x: int) -> float:
    return sum(
        [
            1.0,
            on_one_line(x),
        ]
    )


def endless(x: int) -> float:
    return endless(x + 1)


def with_umlauts(x: int) -> float:
    sizes = {"größe": x}
    return sizes["größe"] + sizes["länge"]


class Deep:
    def method(self, x: int) -> float:
        return max(over_several_lines(y) for y in [x])


def raised_by(function, x: int) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(x)
    return caught.value


@pytest.mark.parametrize("function", [on_one_line, over_several_lines, with_umlauts, Deep().method])
def test_it_reads_like_the_original(function):
    error = raised_by(function, 0)
    original = format_traceback(error)
    frames = pickle.loads(pickle.dumps(take_apart(error.__traceback__)))
    assert format_traceback(error.with_traceback(rebuild_traceback(frames))) == original


def test_endless_recursion_is_cut_in_the_middle():
    error = raised_by(endless, 0)
    frames = take_apart(error.__traceback__)
    assert len(frames) == 2 * FRAMES_KEPT
    assert len(traceback.extract_tb(rebuild_traceback(frames))) == 2 * FRAMES_KEPT


def test_no_traceback_is_none():
    assert rebuild_traceback(take_apart(None)) is None


def test_an_exception_whose_text_raises_still_gives_a_text():
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert "Mute" in format_traceback(Mute())


def test_code_without_a_file_can_be_taken_apart():
    code = compile("def f(x):\n    return 1 / x\n", "<typed in>", "exec")
    names: dict[str, object] = {}
    exec(code, names)
    error = raised_by(names["f"], 0)
    last = take_apart(error.__traceback__)[-1]
    assert (last.filename, last.name, last.line) == ("<typed in>", "f", 2)
    assert traceback.extract_tb(rebuild_traceback([last]))[0].lineno == 2


def test_a_rebuilt_traceback_holds_nothing_of_whoever_rebuilt_it():
    frames = take_apart(raised_by(on_one_line, 0).__traceback__)

    def rebuild() -> tuple[object, weakref.ref[type]]:
        class Message:
            pass

        message = Message()
        return rebuild_traceback(frames), weakref.ref(message)

    trace, message = rebuild()
    assert trace is not None
    assert message() is None
