"""Objects are asked for what is needed of them, and whatever they do when asked, an answer comes."""

from __future__ import annotations

import signal

import odd_exceptions
import odd_objects
import pytest

from allcores._core.kinds import is_a, type_name
from allcores._objects.asking import Outburst, add_note, ask, attributes_of, describe, text_of


def test_what_would_end_the_program_is_an_exception_like_any_other():
    with pytest.raises(Outburst, match="SystemExit: 3") as caught:
        ask(odd_objects.blow, SystemExit, 3)
    assert type(caught.value.__cause__) is SystemExit


def test_an_exception_passes():
    with pytest.raises(ValueError, match="as it is"):
        ask(odd_objects.blow, ValueError, "as it is")


@pytest.mark.parametrize("later", [[None], [SystemExit], [ValueError]])
def test_what_is_not_raised_again_comes_from_outside(later):
    """A signal's handler raises once; then the question is answered, or something else is raised."""
    kinds = [KeyboardInterrupt, *later]

    def question() -> None:
        kind = kinds.pop(0)
        if kind is not None:
            raise kind

    with pytest.raises(KeyboardInterrupt):
        ask(question)
    assert kinds == []


def test_ctrl_c_comes_from_outside_however_often_it_comes():
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(signal.raise_signal, signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)


def test_an_answer_is_given_after_one_question():
    answers = iter([1, 2])
    assert ask(next, answers) == 1
    assert ask(next, answers) == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (ValueError(), "ValueError"),
        (odd_objects.Mute(), "Mute: (its text cannot be had)"),
        (odd_objects.FatalText(), "FatalText: (its text cannot be had)"),
        (odd_exceptions.NumberForText(), "NumberForText: (its text cannot be had)"),
        (odd_exceptions.OddText(), "OddText: odd"),
        (odd_exceptions.NamelessError("x"), "NamelessError: x"),
        (Outburst("SystemExit: 3"), "SystemExit: 3"),
    ],
)
def test_every_exception_can_be_described(error, text):
    assert describe(error) == text
    assert type(describe(error)) is str


def test_a_subclass_of_str_is_not_trusted():
    assert type(text_of(odd_objects.Text("x"))) is str
    assert type(type_name(type(odd_objects.Text("X"), (), {})())) is str


def test_a_type_is_told_without_asking():
    assert is_a(True, int)
    assert is_a(odd_objects.BadClass(), odd_objects.BadClass)
    assert not is_a(odd_exceptions.LooksLikeAnException(), BaseException)


@pytest.mark.parametrize(
    "error", [ValueError(), odd_exceptions.Frozen(3), odd_exceptions.NoAttributes(), odd_exceptions.Secretive()]
)
def test_every_exception_takes_a_note(error):
    add_note(error, "first")
    add_note(error, "second")
    assert attributes_of(error)["__notes__"] == ["first", "second"]


def test_notes_that_are_no_list_stay_as_they_are():
    error = ValueError()
    error.__notes__ = odd_objects.BadAnswers()
    add_note(error, "in vain")
    assert type(error.__notes__) is odd_objects.BadAnswers
