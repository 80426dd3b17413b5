"""Amounts of memory as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allcores._core.bytes import format_bytes, parse_bytes

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("amount", "number"),
    [
        ("2GB", 2_000_000_000),
        ("2G", 2_000_000_000),
        ("2gb", 2_000_000_000),
        (" 1.5 GB ", 1_500_000_000),
        ("512MiB", 512 * 1024**2),
        ("1 Gi", 1024**3),
        ("300 kB", 300_000),
        ("300KB", 300_000),
        ("3TB", 3 * 10**12),
        ("700 B", 700),
        ("700", 700),
        (700, 700),
    ],
)
def test_amounts_that_people_write(amount: object, number: int) -> None:
    assert parse_bytes(amount) == number


@pytest.mark.parametrize("amount", ["", "GB", "two GB", "2 XB", "2iB", "1,5 GB", "-1 GB", "2e9", "0", "0.1 B", 0, -1])
def test_amounts_that_make_no_sense(amount: object) -> None:
    with pytest.raises(ValueError, match=r"is no amount of memory; allowed: .* '512MiB'") as caught:
        parse_bytes(amount)
    assert repr(amount) in str(caught.value)


@pytest.mark.parametrize("amount", [True, None, 2e9, b"2GB", ["2GB"]])
def test_amounts_of_the_wrong_type(amount: object) -> None:
    with pytest.raises(TypeError, match="is no amount of memory; allowed"):
        parse_bytes(amount)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_536_000, "1.54 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1 GB"),
        (12_340_000_000, "12.3 GB"),
        (2 * 10**15, "2 PB"),
    ],
)
def test_numbers_are_written_with_three_digits_at_most(number: int, text: str) -> None:
    assert format_bytes(number) == text


@given(st.integers(1, 10**17))
def test_what_is_written_can_be_read_again(number: int) -> None:
    assert parse_bytes(format_bytes(number)) == pytest.approx(number, rel=0.005)
