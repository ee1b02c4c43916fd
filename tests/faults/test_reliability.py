"""A test causes each fault of the tables and checks its message."""

from tests.faults import table
from tests.faults.reliability import ROWS, drivers

DRIVEN = list(drivers())


def test_a_fault_has_one_row():
    names = [row.fault for row in (*ROWS, *table.ROWS)]
    assert len(names) == len(set(names))


def test_every_row_is_driven_and_every_marker_names_a_row():
    assert {driver.fault for driver in DRIVEN} == {row.fault for row in ROWS}


def test_every_sentence_is_asserted_as_it_stands_in_the_table():
    taken = {driver.fault for driver in DRIVEN if driver.says}
    assert {row.fault for row in ROWS if row.says} <= taken
