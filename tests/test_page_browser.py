"""The handwriting page in a real Chromium: drawn on with the pointer and by keyboard, read from what it shows."""

import shutil
import threading

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.data.pen_digits import as_digit, with_aspect
from spconv_cy.page.reader import Reader
from spconv_cy.page.server import serve

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: make test-page")
pytest.importorskip("waitress")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver: make test-page")]
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
ActionBuilder = pytest.importorskip("selenium.webdriver.common.actions.action_builder").ActionBuilder
PointerInput = pytest.importorskip("selenium.webdriver.common.actions.pointer_input").PointerInput
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address():
    server = serve(Reader.of_file(), 0)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.effective_port}/"
    server.close()


@pytest.fixture
def page(browser, address):
    browser.get(address)
    return browser


def draw(page, stroke, kind="mouse"):
    """Draw one stroke of points from 0 to 100 on the paper."""
    paper = page.find_element("id", "paper")
    box = paper.rect
    actions = ActionBuilder(page, mouse=PointerInput(kind, kind), duration=10)
    places = [(int(box["x"] + box["width"] * (0.2 + 0.006 * x)), int(box["y"] + box["height"] * (0.2 + 0.006 * y)))
              for x, y in stroke]
    actions.pointer_action.move_to_location(*places[0])
    actions.pointer_action.pointer_down()
    for place in places[1:]:
        actions.pointer_action.move_to_location(*place)
    actions.pointer_action.pointer_up()
    actions.perform()


def text(page, name):
    return page.find_element("id", name).text


def wait(page, condition, seconds=10):
    return WebDriverWait(page, seconds, 0.02).until(lambda _: condition())


def input_layer(page):
    return page.execute_script("return document.querySelector('#layers canvas')?.getAttribute('aria-label')")


def rows(page):
    return page.find_elements("css selector", "#answers tr")


def test_real_test_digits_drawn_with_the_pointer_are_read(page):
    _, (characters, labels) = sp.data.digits_by_writers()
    chosen = [int(np.flatnonzero(labels == c)[i]) for c in range(10) for i in range(2)]
    read = []
    for item in chosen:
        page.find_element("id", "clear").click()
        wait(page, lambda: text(page, "best") == "Nothing drawn yet.")
        draw(page, as_digit(with_aspect(characters[item]), aspect=True)[0])
        wait(page, lambda: text(page, "best") != "Nothing drawn yet.")
        read.append(int(text(page, "best").split(",")[0]))
        assert len(rows(page)) == 10 and rows(page)[0].text.split()[0] == str(read[-1])
        assert float(text(page, "time").split()[0]) > 0
    assert np.mean(np.array(read) == labels[chosen]) >= 0.95, (read, labels[chosen])


@pytest.mark.parametrize("kind", ["pen", "touch"])
def test_pen_and_finger_draw_too(page, kind):
    draw(page, [(50, 0), (50, 100)], kind)
    wait(page, lambda: text(page, "best") != "Nothing drawn yet.")


def test_every_stroke_is_answered_and_the_layers_are_drawn(page):
    draw(page, [(0, 0), (100, 0)])
    wait(page, lambda: len(rows(page)) == 10)
    first = input_layer(page)
    draw(page, [(100, 0), (40, 100)])
    wait(page, lambda: input_layer(page) != first)
    layers = page.find_elements("css selector", "#layers canvas")
    assert len(layers) == 10 and "sites are active" in layers[0].get_attribute("aria-label")
    inked = page.execute_script(
        "const c = arguments[0]; const image = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return image.data.filter((v, i) => i % 4 === 3 && v).length",
        layers[0],
    )
    assert str(inked) == layers[0].get_attribute("aria-label").split()[1]
    page.find_element("id", "undo").click()
    wait(page, lambda: input_layer(page) == first)


def test_the_keyboard_draws(page):
    paper = page.find_element("id", "paper")
    paper.send_keys(Keys.ARROW_UP * 15, " ", Keys.ARROW_DOWN * 30, " ")
    wait(page, lambda: len(rows(page)) == 10)
    paper.send_keys(Keys.BACKSPACE)
    wait(page, lambda: text(page, "best") == "Nothing drawn yet.")
    page.execute_script("arguments[0].focus()", page.find_element("tag name", "body"))
    reached = set()
    for _ in range(4):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        reached.add(page.switch_to.active_element.get_attribute("id"))
    assert {"undo", "clear"} <= reached


def test_a_screen_reader_finds_names_and_hears_the_answer(page):
    status = page.find_element("id", "best")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
    assert page.find_element("id", "error").get_attribute("role") == "alert"
    for element in page.find_elements("css selector", "canvas, button, section, table"):
        name = element.accessible_name or element.get_attribute("aria-label")
        assert name, element.get_attribute("outerHTML")[:80]
    assert page.find_element("tag name", "html").get_attribute("lang") == "en" and page.title


def test_no_outside_resource_is_asked_for_and_nothing_is_complained_of(page, address):
    draw(page, [(50, 0), (50, 100)])
    wait(page, lambda: len(rows(page)) == 10)
    asked = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked and all(name.startswith(address) or name.startswith("data:") for name in asked)
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_server_that_is_gone_is_told_of(browser):
    server = serve(Reader.of_file(), 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    browser.get(f"http://127.0.0.1:{server.effective_port}/")
    browser.execute_script("window.fetch = () => Promise.reject(new Error('gone'))")
    draw(browser, [(50, 0), (50, 100)])
    wait(browser, lambda: "does the server still run?" in text(browser, "error"))
    server.close()
