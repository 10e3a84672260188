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
    box = page.execute_script("paper.scrollIntoView({block: 'nearest'}); return paper.getBoundingClientRect().toJSON()")
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


def others(page):
    return page.find_elements("css selector", "#others li")


def answered(page):
    """Return the sign that is shown, once it is the answer to what is drawn now."""
    wait(page, lambda: text(page, "time") and "old" not in page.find_element("tag name", "body").get_attribute("class"))
    return text(page, "sign")


def test_real_test_digits_drawn_with_the_pointer_are_read(page):
    _, (characters, labels) = sp.data.digits_by_writers()
    chosen = [int(np.flatnonzero(labels == c)[i]) for c in range(10) for i in range(2)]
    read = []
    for item in chosen:
        page.find_element("id", "clear").click()
        wait(page, lambda: text(page, "best") == "Nothing drawn yet.")
        draw(page, as_digit(with_aspect(characters[item]), aspect=True)[0])
        read.append(answered(page))
        assert len(others(page)) == (2 if read[-1] != "?" else 3)
        assert float(text(page, "time").split()[0]) > 0
    assert np.mean(np.array(read) == labels[chosen].astype(str)) >= 0.95, (read, labels[chosen])


@pytest.mark.parametrize("kind", ["pen", "touch"])
def test_pen_and_finger_draw_too(page, kind):
    draw(page, [(50, 0), (50, 100)], kind)
    assert answered(page) == "1"


def test_what_is_no_digit_is_not_sure(page):
    draw(page, [(0, 0), (100, 100)])
    draw(page, [(100, 0), (0, 100)])
    wait(page, lambda: text(page, "share") == "not sure")
    assert answered(page) == "?" and len(others(page)) == 3


def test_every_stroke_is_answered_and_the_layers_are_drawn(page):
    draw(page, [(0, 0), (100, 0)])
    answered(page)
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
    wait(page, lambda: text(page, "time"))
    paper.send_keys(Keys.BACKSPACE)
    wait(page, lambda: text(page, "best") == "Nothing drawn yet.")
    page.execute_script("arguments[0].focus()", page.find_element("tag name", "body"))
    reached = set()
    for _ in range(4):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        reached.add(page.switch_to.active_element.get_attribute("id"))
    assert {"undo", "clear"} <= reached


def test_the_answer_is_large_and_beside_the_paper_on_a_desk_and_a_phone(page):
    draw(page, [(50, 0), (50, 100)])
    answered(page)
    for width, height, least in ((1200, 1000, 150), (390, 844, 70)):
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "mobile": False,
                                                                    "deviceScaleFactor": 1})
        try:
            paper, sign = (page.find_element("id", name).rect for name in ("paper", "sign"))
            assert sign["x"] >= paper["x"] + paper["width"] and sign["y"] < paper["y"] + paper["height"]
            assert sign["height"] >= least and paper["y"] + paper["height"] < height
            assert page.execute_script("return document.documentElement.scrollWidth") <= width
        finally:
            page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_one_request_is_under_way_and_the_newest_strokes_win(page):
    page.execute_script("""
      window.sent = []; window.open_ = 0; window.most = 0; window.real = window.fetch;
      window.fetch = async (path, options) => {
        window.sent.push(JSON.parse(options.body).strokes.length);
        window.most = Math.max(window.most, ++window.open_);
        await new Promise(done => setTimeout(done, 400));
        const answer = await window.real(path, options);
        --window.open_;
        return answer;
      };""")
    for x in (20, 35, 50, 65, 80):
        draw(page, [(x, 0), (x, 100)])
    wait(page, lambda: "waiting" in page.find_element("tag name", "body").get_attribute("class"))
    wait(page, lambda: text(page, "time") and "old" not in page.find_element("tag name", "body").get_attribute("class"))
    sent, most = page.execute_script("return [window.sent, window.most]")
    assert most == 1 and sent[0] == 1 and sent[-1] == 5 and sent == sorted(sent)
    assert "waiting" not in page.find_element("tag name", "body").get_attribute("class")
    draw(page, [(0, 50), (100, 50)])
    page.find_element("id", "clear").click()                             # before the answer comes
    wait(page, lambda: page.execute_script("return window.open_ === 0"))
    assert text(page, "best") == "Nothing drawn yet." and not text(page, "time")


def test_the_colours_follow_the_system_while_the_page_is_open(page):
    ink = "const d = paper.getContext('2d').getImageData(0, 0, 360, 360).data; let v = 0;" \
          "for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) v = Math.max(v, d[i]); return v"
    for scheme in ("light", "dark", "light"):
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme",
                                                                          "value": scheme}]})
        if scheme == "light" and not text(page, "time"):
            draw(page, [(50, 0), (50, 100)])
            answered(page)
        wait(page, lambda: (page.execute_script(ink) > 128) == (scheme == "dark"))  # noqa: B023
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_signs_of_ones_own_are_taught_read_and_downloaded(page):
    page.find_element("css selector", "input[value=teach]").click()
    assert text(page, "task") == "Draw a sign of your own" and not page.find_element("id", "learn").is_enabled()
    signs = {"zig": [(0, 0), (50, 80), (100, 0)], "cap": [(0, 100), (0, 0), (100, 0), (100, 100)]}
    paper, form = (page.find_element("id", name).rect for name in ("paper", "keep"))
    assert form["x"] >= paper["x"] + paper["width"] and form["y"] < paper["y"] + paper["height"]  # beside the paper
    for n in range(5):
        for name, corners in signs.items():
            draw(page, [(x, y + 3 * n) for x, y in corners])
            field = page.find_element("id", "name")
            field.clear()
            field.send_keys(name)
            page.find_element("css selector", "#keep button").click()
            wait(page, lambda: f"{name} {n + 1} of 5" in text(page, "signs").replace("\n", " "))  # noqa: B023
    assert len(page.find_elements("css selector", "#signs canvas")) == 10
    wait(page, lambda: text(page, "progress") == "Ready to learn.")
    page.find_element("id", "learn").click()
    wait(page, lambda: text(page, "progress").startswith("Learned 2 signs from 10 drawings"), 60)
    assert text(page, "task") == "Draw one of zig, cap"
    for name, corners in signs.items():
        page.find_element("id", "clear").click()
        draw(page, [(x, y + 7) for x, y in corners])
        assert answered(page) in (name, "?") and name in text(page, "best") + others(page)[0].text
    link = page.find_element("id", "download")
    assert link.is_displayed() and link.get_attribute("href").endswith("/signs.safetensors")
    page.find_element("css selector", "input[value=given]").click()
    assert text(page, "task") == "Draw a digit"


def test_a_screen_reader_finds_names_and_hears_the_answer(page):
    status = page.find_element("id", "best")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
    assert page.find_element("id", "error").get_attribute("role") == "alert"
    page.find_element("css selector", "input[value=teach]").click()         # shows the form
    for element in page.find_elements("css selector", "canvas, button, section, ol, ul, input"):
        if not element.is_displayed():
            continue
        name = element.accessible_name or element.get_attribute("aria-label")
        assert name, element.get_attribute("outerHTML")[:80]
    assert page.find_element("tag name", "html").get_attribute("lang") == "en" and page.title


def test_no_outside_resource_is_asked_for_and_nothing_is_complained_of(page, address):
    draw(page, [(50, 0), (50, 100)])
    wait(page, lambda: text(page, "time"))
    asked = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked and all(name.startswith(address) or name.startswith("data:") for name in asked)
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_server_that_is_gone_is_told_of_without_an_old_answer(browser):
    server = serve(Reader.of_file(), 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    browser.get(f"http://127.0.0.1:{server.effective_port}/")
    draw(browser, [(50, 0), (50, 100)])
    assert answered(browser) == "1" and browser.find_elements("css selector", "#layers canvas")
    browser.execute_script("window.fetch = () => Promise.reject(new Error('gone'))")
    draw(browser, [(20, 0), (20, 100)])
    wait(browser, lambda: "The server did not answer." in text(browser, "error"))
    assert text(browser, "best") == "No answer." and not text(browser, "time") and not others(browser)
    assert not browser.find_elements("css selector", "#layers canvas")
    server.close()
