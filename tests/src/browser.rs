//! A page in headless Chromium, used as people use it: by the pointer, by the keyboard, by what is to be read on it.
//!
//! Nothing here sleeps for a fixed time: each condition is waited for, with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::wait::PATIENCE;

mod driver;
mod session;

use driver::Driver;
use session::Session;

/// How often a condition is looked at. Each look is a call that the browser has to serve.
const TICK: Duration = Duration::from_millis(25);

/// The size of the window, unless it is set: that of a usual laptop.
const SIZE: (u32, u32) = (1280, 800);

/// What is to be read in the elements of a selector.
const TEXT: &str =
    "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText).join('\\n')";

/// The first element of a selector that is to be seen and whose text is this one, or any where there is none.
const FIND: &str = "return [...document.querySelectorAll(arguments[0])].find((element) => element.checkVisibility()
    && (arguments[1] === null || element.innerText.trim() === arguments[1])) ?? null";

/// A browser with one page. Dropped, it is gone, also on a panic.
#[derive(Debug)]
pub struct Browser {
    session: Session,
    /// Dropped, it takes the browser with it.
    driver: Driver,
}

/// A key that is no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// On to the next element.
    Tab,
    /// Follows a link, presses a button.
    Enter,
    /// Leaves a dialog.
    Escape,
    /// Presses a button.
    Space,
}

impl Browser {
    /// Starts a browser with an empty page.
    ///
    /// # Panics
    /// Chromium or its driver is missing, or does not start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let driver = Driver::start().unwrap_or_else(|error| panic!("{error:#}"));
        let session = Session::begin(&driver.url(), &driver.capabilities())
            .unwrap_or_else(|error| panic!("Chromium does not start: {error:#}"));
        let browser = Self { session, driver };
        browser.resize(SIZE.0, SIZE.1);
        browser
    }

    /// Loads a page.
    ///
    /// # Panics
    /// It can't be loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.tell("/url", &json!({"url": url}));
    }

    /// Loads the page again.
    ///
    /// # Panics
    /// It can't be loaded.
    #[track_caller]
    pub fn reload(&self) {
        self.tell("/refresh", &json!({}));
    }

    /// Goes back to where the page was before.
    ///
    /// # Panics
    /// The browser does not answer.
    #[track_caller]
    pub fn back(&self) {
        self.tell("/back", &json!({}));
    }

    /// Waits until the address has this path and query.
    ///
    /// # Panics
    /// It stays another one.
    #[track_caller]
    pub fn leads_to(&self, address: &str) {
        self.keep_trying(&format!("the address {address}"), || {
            let found = self.session.run("return location.pathname + location.search", &[])?;
            ensure!(found == address, "it is {found}");
            Ok(())
        });
    }

    /// Runs a script in the page, and returns what it returns.
    ///
    /// # Panics
    /// It throws.
    #[track_caller]
    pub fn run(&self, script: &str, args: &[Value]) -> Value {
        self.session.run(script, args).unwrap_or_else(|error| panic!("{script}: {error:#}"))
    }

    /// Waits until a script returns something other than null, false or the empty text.
    ///
    /// # Panics
    /// It does not in time; says what is on the page.
    #[track_caller]
    pub fn until(&self, what: &str, script: &str, args: &[Value]) -> Value {
        let nothing = [Value::Null, Value::Bool(false), json!("")];
        self.keep_trying(what, || {
            let found = self.session.run(script, args)?;
            ensure!(!nothing.contains(&found), "the last answer was {found}");
            Ok(found)
        })
    }

    /// Returns what is to be read in the elements of a selector, a line each.
    ///
    /// # Panics
    /// The browser does not answer.
    #[must_use]
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        self.run(TEXT, &[json!(selector)]).as_str().expect("it is text").to_owned()
    }

    /// Waits until this is to be read somewhere in the elements of a selector.
    ///
    /// # Panics
    /// It does not come in time.
    #[track_caller]
    pub fn reads(&self, selector: &str, text: &str) {
        self.keep_trying(&format!("{text:?} in {selector}"), || {
            let found = self.session.run(TEXT, &[json!(selector)])?;
            let found = found.as_str().unwrap_or_default();
            // Where a line is broken depends on the width of the page.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            ensure!(words(found).contains(&words(text)), "it reads {found:?}");
            Ok(())
        });
    }

    /// Waits until a selector has no element that is to be seen.
    ///
    /// # Panics
    /// It still has in the end.
    #[track_caller]
    pub fn lacks(&self, selector: &str) {
        let script =
            "return [...document.querySelectorAll(arguments[0])].every((element) => !element.checkVisibility())";
        self.until(&format!("no {selector}"), script, &[json!(selector)]);
    }

    /// Clicks on the first element of a selector that is to be seen, once there is one.
    ///
    /// # Panics
    /// There is none, or something is above it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.click_on(selector, None);
    }

    /// Clicks on the first element of a selector whose text is this.
    ///
    /// # Panics
    /// There is none, or something is above it.
    #[track_caller]
    pub fn choose(&self, selector: &str, text: &str) {
        self.click_on(selector, Some(text));
    }

    /// Writes into a field, in the place of what was there.
    ///
    /// # Panics
    /// There is no such field.
    #[track_caller]
    pub fn write(&self, selector: &str, text: &str) {
        self.keep_trying(&format!("writing into {selector}"), || {
            let element = self.find(selector, None)?;
            self.session.tell(&format!("{element}/clear"), &json!({}))?;
            self.session.tell(&format!("{element}/value"), &json!({"text": text}))
        });
    }

    /// Presses a key, wherever the focus is.
    ///
    /// # Panics
    /// The browser does not answer.
    #[track_caller]
    pub fn press(&self, key: Key) {
        // Their code points are in section 17.4.2.
        let key = match key {
            Key::Tab => "\u{e004}",
            Key::Enter => "\u{e007}",
            Key::Escape => "\u{e00c}",
            Key::Space => " ",
        };
        let press = ["keyDown", "keyUp"].map(|what| json!({"type": what, "value": key}));
        self.tell("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": press}]}));
    }

    /// Gives the window another size, in CSS pixels.
    ///
    /// # Panics
    /// The browser does not answer.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Says which colours the system is set to: `light` or `dark`.
    ///
    /// # Panics
    /// The browser does not answer.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme},
                              {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.command("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Sets the language that pages are told from their next load on, well-formed or not.
    ///
    /// # Panics
    /// The browser does not answer.
    #[track_caller]
    pub fn speak(&self, language: &str) {
        let source =
            format!("Object.defineProperty(Navigator.prototype, 'language', {{ get: () => {} }})", json!(language));
        self.command("Page.addScriptToEvaluateOnNewDocument", &json!({"source": source}));
    }

    /// Returns a picture of what is to be seen with nothing pointed at, as PNG.
    ///
    /// # Panics
    /// The browser does not answer.
    #[must_use]
    #[track_caller]
    pub fn picture(&self) -> Vec<u8> {
        let away = json!({"type": "pointerMove", "origin": "viewport", "x": 0, "y": 0, "duration": 0});
        self.tell("/actions", &json!({"actions": [{"type": "pointer", "id": "mouse", "actions": [away]}]}));
        let picture = self.session.ask("/screenshot").unwrap_or_else(|error| panic!("taking a picture: {error:#}"));
        STANDARD.decode(picture.as_str().expect("a picture is text")).expect("it is in Base64")
    }

    /// Returns the warnings and errors that the browser has logged since this was last called, each with its level.
    ///
    /// # Panics
    /// The browser does not answer.
    #[must_use]
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a log is a list").iter();
        let bad = entries.filter(|entry| ["SEVERE", "WARNING"].map(Value::from).contains(&entry["level"]));
        bad.map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Returns the addresses of all that the page has asked for since it was loaded.
    ///
    /// # Panics
    /// The browser does not answer.
    #[must_use]
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let names = self.run("return performance.getEntriesByType('resource').map(({ name }) => name)", &[]);
        serde_json::from_value(names).expect("a list of addresses")
    }

    /// Waits until a file was downloaded, and returns what is in it.
    ///
    /// # Panics
    /// It does not come in time.
    #[must_use]
    #[track_caller]
    pub fn downloaded(&self, name: &str) -> String {
        // Chromium gives a file its name when it is whole.
        let file = self.driver.downloads().join(name);
        self.keep_trying(&format!("the download {name}"), || Ok(std::fs::read_to_string(&file)?))
    }

    #[track_caller]
    fn click_on(&self, selector: &str, text: Option<&str>) {
        self.keep_trying(&format!("a click on {selector} {}", text.unwrap_or_default()), || {
            let element = self.find(selector, text)?;
            self.session.tell(&format!("{element}/click"), &json!({}))
        });
    }

    /// Finds an element, and returns the path of the calls to it.
    fn find(&self, selector: &str, text: Option<&str>) -> Result<String> {
        session::element(&self.session.run(FIND, &[json!(selector), json!(text)])?).context("there is none")
    }

    /// Tries until it succeeds: what a page redraws in the meantime is there the next time.
    #[track_caller]
    fn keep_trying<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match attempt() {
                Ok(found) => return found,
                Err(_) if Instant::now() < deadline => sleep(TICK),
                Err(error) => {
                    let (page, log) = (self.text("body"), self.complaints().join("\n"));
                    panic!("waited {PATIENCE:?} in vain: {what}; {error:#}\n--- the page\n{page}\n--- its log\n{log}");
                }
            }
        }
    }

    /// Sends a command of the Chrome DevTools Protocol.
    #[track_caller]
    fn command(&self, name: &str, parameters: &Value) {
        self.tell("/goog/cdp/execute", &json!({"cmd": name, "params": parameters}));
    }

    #[track_caller]
    fn tell(&self, path: &str, body: &Value) -> Value {
        self.session.tell(path, body).unwrap_or_else(|error| panic!("{path} {body}: {error:#}"))
    }
}

#[cfg(test)]
mod tests;
