//! Instants, by counting days.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Reads RFC 3339: microseconds since 1970, and whether finer digits other than zero follow. The year is 0001 to 9999
/// in UTC.
pub(crate) fn instant(text: &str) -> Option<(i64, bool)> {
    let (stamp, rest) = text.split_at_checked(19)?;
    let matches = stamp.chars().zip("dddd-dd-ddTdd:dd:dd".chars()).all(|(c, wanted)| match wanted {
        'd' => c.is_ascii_digit(),
        'T' => c == 'T' || c == 't',
        other => c == other,
    });
    if !matches {
        return None;
    }
    let number = |from: usize, to: usize| stamp[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(after) => {
            let end = after.find(|c: char| !c.is_ascii_digit())?;
            if end == 0 {
                return None;
            }
            after.split_at(end)
        }
    };
    let seconds = days_before(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset(zone)?;
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = seconds * MICROS_PER_SECOND + six.parse::<i64>().ok()?;
    let finer = fraction.chars().skip(6).any(|c| c != '0');
    written(micros).map(|_| (micros, finer))
}

/// Writes microseconds since 1970 as `…Z`, with no fraction or six digits; `None` outside the years 0001 to 9999.
pub(crate) fn written(micros: i64) -> Option<String> {
    let (seconds, fraction) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    // The year is near this, and is found by trying.
    let about = 1970 + days / 365;
    let year = (about - 30..=about + 30).find(|year| days < days_before(year + 1, 1, 1))?;
    if !(1..=9999).contains(&year) {
        return None;
    }
    let month = (1..=12).rev().find(|month| days >= days_before(year, *month, 1))?;
    let day = days - days_before(year, month, 1) + 1;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let end = if fraction == 0 { "Z".to_owned() } else { format!(".{fraction:06}Z") };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{end}"))
}

/// Returns the seconds by which a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = zone.as_bytes() else { return None };
    let number = |tens: &u8, ones: &u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h2).filter(|h| *h < 24)?, number(m1, m2).filter(|m| *m < 60)?);
    let seconds = hours * 3_600 + minutes * 60;
    Some(if *sign == b'-' { -seconds } else { seconds })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1970-01-01 to a day of the Gregorian calendar, from year 0 on.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Leap years before this one, year 0 among them.
    let leaps = if year == 0 { 0 } else { (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 };
    let months: i64 = (1..month).map(|month| month_days(year, month)).sum();
    year * 365 + leaps + months + day - 1 - 719_528
}
