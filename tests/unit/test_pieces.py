"""Work by pieces and in the background: order is kept, and what goes wrong is said."""

import threading

import pytest

from ringwatch.pieces import Behind, by_pieces, slices


def test_pieces_cover_all_once_and_come_back_in_order() -> None:
    assert by_pieces(lambda at: list(range(at.start, at.stop)), slices(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert by_pieces(str, slices(0, 3)) == []
    with pytest.raises(ZeroDivisionError):
        by_pieces(lambda at: 1 // at.start, slices(6, 3))


def test_pieces_of_a_piece_stay_in_its_thread() -> None:
    def threads(_: slice) -> set[int]:
        return {threading.get_ident(), *by_pieces(lambda _: threading.get_ident(), slices(3, 1))}

    assert [len(found) for found in by_pieces(threads, slices(4, 1))] == [1] * 4
    assert threading.get_ident() not in by_pieces(lambda _: threading.get_ident(), slices(3, 1))


def test_the_background_keeps_the_order_and_is_never_more_than_one_behind() -> None:
    done: list[int] = []
    gate = threading.Event()

    def slow(number: int) -> None:
        gate.wait(10)
        done.append(number)

    with Behind() as behind:
        behind.do(slow, 1)
        assert done == []
        threading.Timer(0.01, gate.set).start()
        behind.do(done.append, 2)  # waits for the first
        assert done[0] == 1
        behind.wait()
        assert done == [1, 2]


def test_what_fails_in_the_background_is_raised_by_whoever_waits() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with Behind() as behind:
        behind.do(fail)
        with pytest.raises(OSError, match="full"):
            behind.do(print)
    with pytest.raises(OSError, match="full"), Behind() as behind:
        behind.do(fail)
