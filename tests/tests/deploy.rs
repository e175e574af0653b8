//! The config files of `deploy/` are such that the programs take them.

use std::fs;
use std::path::Path;

use ringway_tests::own_address;
use ringway_tests::process::Process;

#[test]
fn the_config_files_are_taken() {
    let ip = own_address();
    let files = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/etc"));
    // Only what would collide with others on this machine is said again.
    let run = std::env::temp_dir().join(format!("ringway-deploy-{}", std::process::id()));
    fs::create_dir_all(&run).expect("a folder for temporary files");
    let places = [
        format!("--listen {ip}:1236 --admin {ip}:9500"),
        format!(
            "--listen websocket://{ip}:8282 --lan-ip {ip} --register-address {ip}:1236 --admin {ip}:9501 --control {}",
            run.join("control").display()
        ),
        format!("--register-address {ip}:1236 --admin {ip}:9502 --pid-file {}", run.join("pid").display()),
    ];
    let mut running = Vec::new();
    for (program, places) in ["register", "gateway", "worker"].into_iter().zip(places) {
        let file = files.join(format!("{program}.toml"));
        let words = format!("--config {} {places}", file.display());
        let flags: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let process = Process::start(program, program, &flags);
        process.await_ready(program);
        running.push(process);
    }
    running.iter_mut().rev().for_each(Process::stop);
    fs::remove_dir_all(run).expect("the folder is ours");
}
