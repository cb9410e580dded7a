"""Two answers compared: nothing lost, nothing marked that is in both."""

from hypothesis import given
from hypothesis import strategies as st

from viewer.difference import compare

answers = st.text(st.sampled_from("ab .!?\n1\"'é\u200f<"), max_size=80) | st.lists(
    st.sampled_from(["Write early. ", "Wait.\n\n", "1. Call him. ", "Pay half now! ", "x"]), max_size=8
).map("".join)


def marked(sentences):
    return [piece.text.strip() for sentence in sentences for piece in sentence.pieces if piece.changed]


@given(answers, answers)
def test_the_sentences_join_to_the_answers(first, final):
    left, right = compare(first, final)
    assert "".join(sentence.text for sentence in left) == first
    assert "".join(sentence.text for sentence in right) == final


@given(answers)
def test_an_answer_does_not_differ_from_itself(answer):
    left, right = compare(answer, answer)
    assert marked(left) == marked(right) == []


@given(answers, answers)
def test_what_is_not_marked_is_the_same_in_both(first, final):
    left, right = compare(first, final)

    def common(sentences):
        return "".join(p.text for s in sentences for p in s.pieces if not p.changed).split()

    assert "".join(common(left)) == "".join(common(right))


def test_a_changed_word_is_marked_in_its_sentence():
    left, right = compare("Ask him today. Then wait.", "Ask him kindly. Then wait.")
    assert (marked(left), marked(right)) == (["today."], ["kindly."])
    assert [sentence.changed for sentence in right] == [True, False]


def test_a_sentence_with_little_in_common_is_marked_whole():
    left, right = compare("Take the keys at night. Then wait.", "Talk to your father first. Then wait.")
    assert marked(left) == ["Take the keys at night."]
    assert marked(right) == ["Talk to your father first."]


def test_a_line_broken_elsewhere_is_no_change():
    left, right = compare("One. Two.\nThree.", "One.\nTwo. Three.")
    assert marked(left) == marked(right) == []


def test_the_number_of_a_list_item_stays_with_it():
    _, right = compare("", "1. Call him.\n2. Wait.")
    assert [sentence.text for sentence in right] == ["1. Call him.\n", "2. Wait."]
