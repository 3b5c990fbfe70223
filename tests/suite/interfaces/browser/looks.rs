//! How the page looks and is reached: in both themes, on a phone, by keyboard alone.

use serde_json::json;
use tallyhouse_tests::browser::{Browser, Key};
use tallyhouse_tests::data::flights::month;
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::servers::service::Service;

use super::{check_quiet, open};

/// Every view, with filters and a record.
pub(super) const PLACES: [&str; 7] = [
    "/",
    "/?view=records&destinationId=ATL&reference=EWR",
    "/?view=records&record=large",
    "/?view=alerts&unit=EUR",
    "/?view=dead-letters",
    "/?view=rules",
    "/docs#writeRecord",
];

/// The least contrast of text (WCAG 2.2, success criterion 1.4.3).
const CONTRAST_MIN: f64 = 4.5;

/// Finds the texts that are to be seen and whose contrast with what is behind them is below `arguments[0]`.
const FAINT: &str = r"
    const parse = (color) => { const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
    const over = (top, below) => Object.fromEntries(['r', 'g', 'b'].map((c) => [c, top[c] * top.a + below[c] * (1 - top.a)]));
    const linear = (value) => (value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const light = ({ r, g, b }) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => element === null ? { r: 255, g: 255, b: 255 }
        : over(parse(getComputedStyle(element).backgroundColor), behind(element.parentElement));
    const faint = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
        const seen = element.checkVisibility() && element.getBoundingClientRect().width > 1 && !element.disabled;
        if (!own || !seen || element.closest('dialog') !== document.querySelector('dialog')) continue;
        const ground = behind(element);
        const color = parse(getComputedStyle(element).color);
        for (let it = element; it !== null; it = it.parentElement) color.a *= getComputedStyle(it).opacity;
        const [one, two] = [light(over(color, ground)), light(ground)];
        const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
        if (contrast < arguments[0]) faint.push(`${element.className} ${element.innerText.slice(0, 40)}: ${contrast.toFixed(2)}`);
    }
    return faint";

/// Checks that the contrast of all text that is to be seen is high enough.
#[track_caller]
pub(super) fn check_legible(browser: &Browser, what: &str) {
    assert_eq!(browser.run(FAINT, &[json!(CONTRAST_MIN)]), json!([]), "{what}");
}

pub(super) fn busy() -> Service {
    let service = Service::start();
    service.http().batch(&month()[..400]);
    let large = record_with("large", json!({"value": "123456.78", "unit": "EUR", "type": "negative"}));
    assert_eq!(service.http().record(&large).status, 201);
    service
}

/// Waits until everything that is on its way to a page is there.
#[track_caller]
pub(super) fn settled(browser: &Browser) {
    browser.lacks(".skeleton");
    browser.until("something to read", "return document.querySelector('main').innerText.trim()", &[]);
}

fn ground(browser: &Browser) -> String {
    let color = browser.run("return getComputedStyle(document.body).backgroundColor", &[]);
    color.as_str().expect("a colour").to_owned()
}

#[test]
fn both_themes_follow_the_system_or_the_button_and_all_text_is_legible() {
    let service = busy();
    let browser = open(&service, "/");
    for place in PLACES {
        browser.open(&format!("{}{place}", service.url()));
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            settled(&browser);
            assert_eq!(ground(&browser) == "rgb(244, 245, 248)", scheme == "light", "{place} in {scheme}");
            check_legible(&browser, &format!("{place} in {scheme}"));
        }
    }
    // What is chosen stays, whatever the system says.
    browser.open(&service.url());
    browser.prefer("dark");
    let dark = ground(&browser);
    browser.click("#theme");
    browser.until("light", "return getComputedStyle(document.body).backgroundColor !== arguments[0]", &[json!(dark)]);
    browser.reload();
    assert_eq!(ground(&browser), "rgb(244, 245, 248)");
    browser.reads("#theme", "Colours: light");
    check_quiet(&browser, &service);
}

#[test]
fn on_a_phone_nothing_reaches_beyond_the_side() {
    let service = busy();
    let browser = open(&service, "/");
    browser.resize(390, 844);
    for place in PLACES {
        browser.open(&format!("{}{place}", service.url()));
        settled(&browser);
        let wide = "return [...document.querySelectorAll('body, main *, header *, dialog')].filter((element) => {
                const { right, width } = element.getBoundingClientRect();
                return width > 1 && right > innerWidth + 1 && element.checkVisibility() && !element.closest('.skip');
            }).map((element) => `${element.tagName} ${element.className}`)";
        assert_eq!(
            browser.run("return document.documentElement.scrollWidth", &[]),
            390,
            "{place}: {}",
            browser.run(wide, &[])
        );
        assert_eq!(browser.run("return innerWidth", &[]), 390, "{place}");
    }
    browser.open(&service.url());
    browser.reads("#totals tbody", "ATL");
    check_quiet(&browser, &service);
}

#[test]
fn on_a_phone_filters_are_folded_until_they_are_asked_for() {
    let service = busy();
    let browser = open(&service, "/");
    browser.resize(390, 844);
    for place in ["/?view=records", "/?view=alerts"] {
        browser.open(&format!("{}{place}", service.url()));
        browser.until("a record", "return document.querySelector('.record-table .record-link')", &[]);
        browser.lacks(".filters input");
        let top =
            "return document.querySelector('.record-table .record-link').getBoundingClientRect().top < innerHeight";
        assert_eq!(browser.run(top, &[]), true, "the first record is on the first screen of {place}");
        browser.choose("summary", "Filters");
        browser.write("#filter-unit", "EUR");
        assert_eq!(browser.run("return document.documentElement.scrollWidth", &[]), 390, "{place}");
        browser.choose("form button", "Apply");
        browser.lacks(".filters input");
        browser.reads("#active-filters", "Unit EUR");
        browser.until("the focus on what was folded", "return document.activeElement.matches('summary')", &[]);
    }
    // On a wider page they are open, and nothing folds them.
    browser.resize(1280, 800);
    browser.until("the filters", "return document.querySelector('#filter-unit').checkVisibility()", &[]);
    browser.lacks(".filter-fold > summary");
    check_quiet(&browser, &service);
}

/// The texts of cells that stand on more than one line.
const BROKEN: &str = "const lines = (text) => {
        const range = document.createRange();
        range.selectNodeContents(text);
        return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
    };
    const broken = [];
    for (const cell of document.querySelectorAll('td.unit, td.number')) {
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) if (lines(texts.currentNode) > 1) broken.push(texts.currentNode.data);
    }
    return broken";

#[test]
fn on_a_tablet_no_unit_and_no_number_is_broken() {
    let service = busy();
    let browser = open(&service, "/");
    browser.resize(768, 1024);
    for place in ["/", "/?view=records&destinationId=ATL", "/?view=records&record=large"] {
        browser.open(&format!("{}{place}", service.url()));
        settled(&browser);
        browser.until("a unit", "return document.querySelector('td.unit')?.innerText", &[]);
        assert_eq!(browser.run(BROKEN, &[]), json!([]), "{place}");
        assert_eq!(browser.run("return document.documentElement.scrollWidth", &[]), 768, "{place}");
    }
}

#[test]
fn no_colour_says_that_an_amount_is_good_and_there_is_one_minus_sign() {
    let service = busy();
    assert_eq!(service.http().record(&record_with("late", json!({"value": "20000"}))).status, 201);
    let browser = open(&service, "/");
    browser.reads(".feed.alerts", "+20,000 minute");
    browser.reads(".feed.alerts", "−123,456.78 EUR");
    browser.reads("#totals .net", "−123,456.78");
    let colours =
        "return new Set([...document.querySelectorAll('.feed .figure')].map((it) => getComputedStyle(it).color)).size";
    assert_eq!(browser.run(colours, &[]), 1);
    let hyphens = "return document.querySelector('main').innerText.match(/(?<![\\w-])-\\d/g)";
    assert_eq!(browser.run(hyphens, &[]), json!(null));
}

/// Presses Tab until the focus is on an element of a selector; each stop on the way must be seen.
#[track_caller]
fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..60 {
        browser.press(Key::Tab);
        let here = "const { activeElement: it } = document;
            const { outlineStyle, outlineWidth } = getComputedStyle(it);
            const { width, height } = it.getBoundingClientRect();
            return { found: it.matches(arguments[0]), what: it.outerHTML.slice(0, 80),
                     seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && width > 1 && height > 1 }";
        let here = browser.run(here, &[json!(selector)]);
        assert_eq!(here["seen"], true, "the focus is not to be seen: {here}");
        if here["found"] == true {
            return;
        }
    }
    panic!("Tab does not lead to {selector}");
}

#[test]
fn the_keyboard_alone_reaches_a_record_and_comes_back() {
    let service = busy();
    let browser = open(&service, "/");
    browser.reads("#totals tbody", "ATL");
    tab_to(&browser, "a.skip");
    browser.press(Key::Enter);
    browser.until("the focus in the content", "return document.activeElement.id === 'main'", &[]);
    browser.open(&service.url());
    browser.reads("#totals tbody", "ATL");
    tab_to(&browser, "#theme");
    browser.press(Key::Space);
    browser.reads("#theme", "Colours: light");
    tab_to(&browser, "#totals [data-sort=net]");
    browser.press(Key::Enter);
    browser.until(
        "sorted by net",
        "return document.querySelector('#totals [aria-sort] [data-sort]').dataset.sort === 'net'",
        &[],
    );
    tab_to(&browser, "#totals tbody a");
    browser.press(Key::Enter);
    browser.reads("main h1", "Records");
    browser.until("the focus in the view", "return document.activeElement.id === 'main'", &[]);
    browser.until("records", "return document.querySelector('.record-table .record-link')", &[]);
    tab_to(&browser, ".record-table .record-link");
    browser.press(Key::Enter);
    browser.reads("dialog .fields", "Sequence");
    browser.until("the focus in the dialog", "return document.activeElement.closest('dialog') !== null", &[]);
    browser.press(Key::Escape);
    browser.lacks("dialog");
    browser.until("the focus where it was", "return document.activeElement.matches('.record-table .record-link')", &[]);
    check_quiet(&browser, &service);
}
