//! Tests of waits.

use super::*;

#[test]
fn a_wait_is_the_one_asked_for_or_else_doubles_until_no_attempt_is_left() {
    let seconds = |asked: [Option<u64>; 6]| {
        let mut retries = Retries::new();
        asked.map(|asked| retries.next(asked.map(Duration::from_secs)).map(|wait| wait.as_secs_f64()))
    };
    assert_eq!(seconds([None; 6]), [Some(0.5), Some(1.0), Some(2.0), Some(4.0), Some(8.0), None]);
    let asked = [Some(3), None, Some(0), Some(900), None, Some(1)];
    assert_eq!(seconds(asked), [Some(3.0), Some(1.0), Some(0.0), Some(30.0), Some(8.0), None]);
}
