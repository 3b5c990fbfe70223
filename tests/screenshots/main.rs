//! Takes the pictures of docs/DASHBOARD.md: a newcomer's walk through a real service with real flights.
//!
//! ```sh
//! cargo build --release -p tallyhouse && cargo run --release -p tallyhouse-tests --bin screenshots
//! ```
//!
//! It takes six minutes: the chart shows the last five, and what it shows has happened. `-- --seconds N` is for those
//! who only change a style, `--into FOLDER` leaves the kept pictures alone. Port 8080 must be free, because it is in
//! the pictures. Where `pngquant` is installed, they come out at a third of their size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::service::{Options, Service};

mod traffic;

/// A laptop's window, and a phone's.
const LAPTOP: (u32, u32) = (1280, 860);
const PHONE: (u32, u32) = (390, 844);

/// Largest picture, in bytes: the documents stay light.
const BYTES_MAX: usize = 150 * 1024;

/// The rule that the alerts of the walk come from.
const RULES: &str =
    "[[alerts.rules]]\nname = \"very-late\"\nthreshold = \"240\"\nunit = \"minute\"\ntype = \"positive\"\n";

/// What a queue brings and the service has to refuse: no JSON, no record, and a record that the database refuses.
const REFUSED: [&str; 3] = [
    r#"{"recordId":"refund-18","time":"2026-01-05T14:02:11Z","sourceId":"till-3","destinationId":"shop-9","type":"neg"#,
    r#"{"recordId":"refund-17","time":"2026-01-05 14:01","sourceId":"till-3","destinationId":"shop-9","type":"negative","value":"-12.50","unit":"EUR","reference":"invoice-7"}"#,
    r#"{"recordId":"refund-16","time":"2026-01-05T13:58:40Z","sourceId":"till-3","destinationId":"shop-9","type":"negative","value":"12.50","unit":"EUR","reference":"invoice-7"}"#,
];

fn main() -> Result<()> {
    let (into, seconds) = settings(std::env::args().skip(1))?;
    std::fs::create_dir_all(&into)?;
    let options = Options::new().env("TALLYHOUSE_LISTEN", "127.0.0.1:8080").file(RULES);
    let mut fleet = Fleet::start_with(1, &options);
    let camera = Camera { browser: Browser::start(), into };
    camera.browser.resize(LAPTOP.0, LAPTOP.1);
    camera.browser.prefer("light");
    first(&camera, &fleet.instances[0])?;
    dead_letters(&camera, &fleet)?;
    traffic::beside(&fleet, || busy(&camera, Duration::from_secs(seconds)))?;
    unavailable_page(&camera, &mut fleet)
}

fn settings(mut args: impl Iterator<Item = String>) -> Result<(PathBuf, u64)> {
    let (mut into, mut seconds) = (workspace().join("docs/images"), 310);
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--into" => into = value.into(),
            "--seconds" => seconds = value.parse()?,
            _ => bail!("there is no {name}: --into and --seconds are"),
        }
    }
    Ok((into, seconds))
}

/// An empty service, and what its first record makes of it.
fn first(camera: &Camera, service: &Service) -> Result<()> {
    let browser = &camera.browser;
    browser.open(&service.url());
    browser.reads("#totals", "No records yet");
    browser.reads("#status", "Ready");
    browser.reads(".feed.alerts", "appears here at once");
    browser.until("a reading", "return document.querySelector('.rate-now').innerText === '0'", &[]);
    camera.take("empty")?;
    let typed = Command::new("sh").args(["-c", &browser.text(".command")]).output()?;
    ensure!(typed.status.success(), "the command fails: {}", String::from_utf8_lossy(&typed.stderr));
    browser.reads("#totals", "1 destination, 1 record");
    browser.reads(".feed.alerts", "by default");
    browser.reads(".legend", "processed 0.");
    camera.take("first-record")
}

/// Dead letters before and after their cause is gone.
fn dead_letters(camera: &Camera, fleet: &Fleet) -> Result<()> {
    let browser = &camera.browser;
    fleet.psql("ALTER TABLE records ADD CONSTRAINT closed CHECK (record_id NOT LIKE 'refund-%')");
    fleet::push_payloads(&fleet.redis, REFUSED.iter().map(|payload| payload.as_bytes()));
    // It takes another commit in between to blame a record.
    traffic::until_refused(fleet, REFUSED.len())?;
    browser.click("nav a[href*=dead-letters]");
    browser.reads("main h1", "Dead letters 3");
    camera.take("dead-letters")?;
    fleet.psql("ALTER TABLE records DROP CONSTRAINT closed");
    browser.run(
        "const letters = [...document.querySelectorAll('.letter')];
        letters.find((letter) => letter.innerText.includes('refund-16')).id = 'replayed'",
        &[],
    );
    browser.choose("#replayed button", "Replay");
    browser.reads("#replayed .result", "Processed");
    camera.take("dead-letter-replayed")
}

/// A busy service, in both themes and on a phone, and the records that it has.
fn busy(camera: &Camera, watched: Duration) -> Result<()> {
    let browser = &camera.browser;
    browser.choose("nav a", "Overview");
    // What the chart shows is what has happened meanwhile.
    sleep(watched);
    browser.reads(".feed.alerts", "by very-late");
    browser.reads("#totals", "All");
    camera.take("busy")?;
    browser.prefer("dark");
    camera.take("dark")?;
    browser.prefer("light");
    browser.resize(PHONE.0, PHONE.1);
    camera.take("phone")?;
    browser.resize(LAPTOP.0, LAPTOP.1);
    browser.choose("#totals a", "ATL");
    browser.reads("main", "By reference 3 references");
    browser.lacks(".skeleton");
    camera.take("records")?;
    browser.choose("nav a", "Alerts");
    browser.reads(".record-table", "very-late");
    camera.take("alerts")?;
    browser.choose("nav a", "Overview");
    browser.click(".feed.alerts li:first-child .record-link");
    browser.reads("dialog", "very-late");
    camera.take("record")
}

/// What the page says when a dependency is unavailable.
fn unavailable_page(camera: &Camera, fleet: &mut Fleet) -> Result<()> {
    let browser = &camera.browser;
    browser.click("dialog [aria-label=Close]");
    fleet.redis.kill()?;
    browser.reads("#status", "Degraded");
    browser.reads(".health-card", "down");
    browser.reads(".health-card", "paused");
    camera.take("redis-unavailable")
}

struct Camera {
    browser: Browser,
    into: PathBuf,
}

impl Camera {
    /// Takes a picture of what is to be seen, with nothing focused or pointed at.
    fn take(&self, name: &str) -> Result<()> {
        self.browser.run("document.activeElement?.blur(); scrollTo(0, 0)", &[]);
        let file = self.into.join(name).with_extension("png");
        std::fs::write(&file, self.browser.picture())?;
        let bytes = smaller(&file)?;
        println!("{name}.png {} KiB", bytes / 1024);
        ensure!(bytes <= BYTES_MAX, "{name}.png is larger than {BYTES_MAX} bytes: install pngquant");
        Ok(())
    }
}

/// Lets `pngquant` make a picture smaller, where it is installed, and returns its size in bytes.
fn smaller(file: &Path) -> Result<usize> {
    let quantised =
        Command::new("pngquant").args(["--force", "--ext", ".png", "--speed", "1", "--"]).arg(file).status();
    match quantised {
        Ok(status) => ensure!(status.success(), "pngquant: {status}"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(std::fs::read(file)?.len())
}
