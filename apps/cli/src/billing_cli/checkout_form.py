"""Reading a checkout page as a browser does: what it says, and what pressing a button sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from billing_cli.errors import ServiceFailed

BUTTON_NAME = "action"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutForm:
    """The page's title, its buttons, and where the pressed one sends which fields."""

    title: str
    buttons: Sequence[str]
    action: str
    fields: Sequence[tuple[str, str]]


def read_checkout(page: str, *, press: str) -> CheckoutForm:
    """This will read the page and press the button of that value. Raises ServiceFailed where there is none."""
    reader = _Reader()
    reader.feed(page)
    forms = [form for form in reader.forms if press in form.buttons]
    if not forms:
        raise ServiceFailed(f"the checkout page has no button {press!r}")
    return CheckoutForm(
        title=" ".join("".join(reader.title).split()),
        buttons=[button for form in reader.forms for button in form.buttons],
        action=forms[0].action,
        fields=[*forms[0].fields, (BUTTON_NAME, press)],
    )


class _Form:
    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[str] = []


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.title: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "form":
            self.forms.append(_Form(values.get("action", "")))
        elif self.forms and tag == "input" and "name" in values:
            self.forms[-1].fields.append((values["name"], values.get("value", "")))
        elif self.forms and tag == "button" and values.get("name") == BUTTON_NAME:
            self.forms[-1].buttons.append(values.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
