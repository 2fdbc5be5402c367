"""An entry's bytes: they come back whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from cache_entries import CONTEXT, a_mark, an_entry, encoded

from edge_matting.cache.entry import (
    EntryDamaged,
    decode_entry,
    encode_entry,
    entry_name,
    parse_name,
)


def test_an_entry_comes_back_as_it_was():
    entry = an_entry(7)
    name, data = encode_entry(CONTEXT, entry)
    again = decode_entry(name, data)
    assert parse_name(name) == (CONTEXT, entry.mark)
    assert (again.mark, again.seconds) == (entry.mark, 0.125)
    certain = (entry.alpha < 1 / 255) | (entry.alpha > 1 - 1 / 255)
    assert np.abs(again.alpha - entry.alpha)[~certain].max() <= 1 / 65535
    assert set(np.unique(again.alpha[certain])) == {0.0, 1.0}
    assert np.abs(again.thumbnail.astype(int) - entry.thumbnail).max() <= 2


@pytest.mark.parametrize("position", [0, 10, 30, 200, -1])
def test_one_flipped_bit_is_noticed(position):
    name, data = encoded(7)
    broken = bytearray(data)
    broken[position] ^= 4
    with pytest.raises(EntryDamaged):
        decode_entry(name, bytes(broken))


def test_a_cut_or_renamed_entry_is_none():
    name, data = encoded(7)
    for length in (0, 3, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(EntryDamaged):
            decode_entry(name, data[:length])
    with pytest.raises(EntryDamaged, match="written as"):
        decode_entry(entry_name(CONTEXT, a_mark(8)), data)


@pytest.mark.parametrize("name", ["a/b/c.matte", "x.matte", "a/b/1-2-3-4.matte", "a/b/.matte"])
def test_other_files_have_no_entrys_name(name):
    with pytest.raises(ValueError, match=r"no\w* the name|values to unpack|invalid literal"):
        parse_name(name)
