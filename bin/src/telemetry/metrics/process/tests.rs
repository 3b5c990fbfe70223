//! Tests of reading `/proc`.

use super::*;

#[test]
fn the_files_of_proc_are_parsed() {
    let stat = "4242 (a ) name) S 1 4242 4242 0 -1 4194560 9000 0 10 0 1234 66 0 0 20 0 7 0 25050 99 1 1";
    let status = "Name:\ta ) name\nVmSize:\t  20480 kB\nVmRSS:\t    2048 kB\nThreads:\t7\n";
    let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                  Max open files            1024                 524288               files\n";
    let system = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
    let process = parse(stat, status, limits, system, 12).unwrap();
    let expect = Process {
        cpu_seconds: 13.0,
        resident_bytes: 2_097_152,
        virtual_bytes: 20_971_520,
        open_fds: 12,
        max_fds: Some(1024),
        threads: 7,
        start_seconds: 1_700_000_250.5,
    };
    assert_eq!(process, expect);
    let unlimited = limits.replace("1024  ", "unlimited");
    assert_eq!(parse(stat, status, &unlimited, system, 12).unwrap().max_fds, None);
    assert_eq!(parse("", status, limits, system, 12), None);
}

#[test]
fn this_process_can_be_read() {
    let process = read().expect("Linux shows it");
    assert!(process.resident_bytes > 1_000_000 && process.open_fds >= 3 && process.threads >= 1, "{process:?}");
}
