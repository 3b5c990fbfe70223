//! The short form of the chaos suite; the long form is `tests/chaos/main.rs`.

use std::time::Duration;

use tallyhouse_tests::chaos::{Kind, Length, Settings, run};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::folder::binary;

/// How often each kind of fault comes.
const ROUNDS: u32 = 2;

#[test]
fn under_any_failure_nothing_acknowledged_is_lost_or_counted_twice() {
    let settings = Settings {
        // It is printed first. To run the same again, put it here.
        seed: Seed::drawn(),
        length: Length::Rounds(ROUNDS),
        instances: 3,
        rate: 200,
        brevity: 4,
        recovery_max: Duration::from_secs(30),
        logs: binary().with_file_name("chaos-short"),
    };
    let report = run(&settings).unwrap_or_else(|error| panic!("{error:?}; see {}", settings.logs.display()));
    println!("{report}");
    for kind in Kind::ALL {
        assert!(report.faults_of(kind) >= ROUNDS, "too few: {kind:?}");
    }
    assert!(report.acknowledged() > 1_000, "next to nothing was sent");
    assert!(report.is_good(), "{:#?}; see {}", report.findings(), settings.logs.display());
}
