//! A mosquitto of the test's own on a free loopback port, a subscriber, and a proxy that cuts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools::tool;

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mbushat-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file in the folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("its address").port()
}

/// A mosquitto.
pub(crate) struct Broker {
    pub(crate) port: u16,
    program: PathBuf,
    folder: Folder,
    child: Option<Child>,
}

impl Broker {
    /// Anonymous access, nothing kept over a restart; `None` where mosquitto is missing.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("allow_anonymous true\n")
    }

    /// With these lines after `listener PORT 127.0.0.1`; `FOLDER` stands for its own folder.
    pub(crate) fn start_with(lines: &str) -> Option<Self> {
        let mut broker = Self::prepare(lines)?;
        broker.run();
        Some(broker)
    }

    /// Not yet started.
    pub(crate) fn prepare(lines: &str) -> Option<Self> {
        let program = tool("mosquitto")?;
        let folder = Folder::new();
        let port = free_port();
        let lines = lines.replace("FOLDER", &folder.path().to_string_lossy());
        // run as root it would become another user, who may not read the folder
        let user = if Path::new("/proc/self").exists() { "user root\n" } else { "" };
        let rest = "max_queued_messages 1000000\nset_tcp_nodelay true\n";
        folder.write("mosquitto.conf", &format!("{user}{rest}listener {port} 127.0.0.1\n{lines}"));
        Some(Self { port, program, folder, child: None })
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Starts it (again) and waits until it accepts.
    pub(crate) fn run(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let child = Command::new(&self.program)
            .args(["-c"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto starts");
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "mosquitto does not listen; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    /// Any other signal.
    pub(crate) fn signal(&self, which: Signal) {
        if let Some(child) = &self.child {
            signal(child, which);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, which: Signal) {
    kill_process(Pid::from_child(child), which).expect("a process of ours that runs");
}

/// One received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) retained: bool,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// A mosquitto_sub.
pub(crate) struct Subscriber {
    child: Child,
    lines: mpsc::Receiver<Received>,
}

impl Subscriber {
    /// Subscribed to `filter` when it returns; `None` where mosquitto_sub is missing.
    pub(crate) fn new(port: u16, filter: &str) -> Option<Self> {
        Self::with(port, filter, &[])
    }

    /// With more arguments.
    pub(crate) fn with(port: u16, filter: &str, more: &[&str]) -> Option<Self> {
        let probe = format!("probe/{}/{}", std::process::id(), free_port());
        let mut child = Command::new(tool("mosquitto_sub")?)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", filter, "-t", &probe])
            .args(["-F", "%r %t %p"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut parts = line.splitn(3, ' ');
                let (Some(retained), Some(topic)) = (parts.next(), parts.next()) else { continue };
                let payload = parts.next().unwrap_or_default().to_owned();
                let message = Received { retained: retained == "1", topic: topic.to_owned(), payload };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let subscriber = Self { child, lines };
        // it does not say when its subscription stands, so a message is sent until it comes back
        let publisher = tool("mosquitto_pub")?;
        for _ in 0..100 {
            let status = Command::new(&publisher)
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", &probe, "-m", "x"])
                .args(more.iter().take_while(|a| **a != "-c"))
                .stderr(Stdio::null())
                .status();
            assert!(status.is_ok());
            if subscriber.wait_for(Duration::from_millis(200), |m| m.topic == probe).is_some() {
                break;
            }
        }
        Some(subscriber)
    }

    /// The next message, within `time`.
    pub(crate) fn next(&self, time: Duration) -> Option<Received> {
        self.lines.recv_timeout(time).ok()
    }

    /// The first message that `wanted` accepts; others are thrown away.
    pub(crate) fn wait_for(&self, time: Duration, mut wanted: impl FnMut(&Received) -> bool) -> Option<Received> {
        let end = Instant::now() + time;
        while let Some(message) = self.next(end.saturating_duration_since(Instant::now())) {
            if wanted(&message) {
                return Some(message);
            }
        }
        None
    }

    /// Everything that comes until nothing comes for `quiet`.
    pub(crate) fn until_quiet(&self, quiet: Duration) -> Vec<Received> {
        std::iter::from_fn(|| self.next(quiet)).collect()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Publishes one message.
pub(crate) fn publish(port: u16, topic: &str, payload: &str, retain: bool) {
    let Some(program) = tool("mosquitto_pub") else { return };
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
    if retain {
        command.arg("-r");
    }
    assert!(command.status().is_ok_and(|s| s.success()), "mosquitto_pub fails");
}

/// Every retained message a new subscriber is given.
pub(crate) fn retained(port: u16, filter: &str) -> Vec<Received> {
    let Some(program) = tool("mosquitto_sub") else { return Vec::new() };
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", filter, "-F", "%r %t %p", "-W", "1"])
        .output()
        .expect("mosquitto_sub runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parse = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let retained = parts.next()? == "1";
        let topic = parts.next()?.to_owned();
        Some(Received { retained, topic, payload: parts.next().unwrap_or_default().to_owned() })
    };
    text.lines().filter_map(parse).filter(|m| m.retained).collect()
}

/// Stands between a client and the broker and cuts each connection after some bytes from the client.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// Connections cut so far.
    pub(crate) cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// `budget(n)`: bytes the n-th connection lets through before it is cut; `None`: all.
    pub(crate) fn new(to: u16, budget: impl Fn(usize) -> Option<usize> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (budget, cuts) = (budget(number), Arc::clone(&counted));
                let (from, into) = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
                thread::spawn(move || pump(from, into, None));
                thread::spawn(move || {
                    if pump(client, server, budget) {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { port, cuts }
    }
}

/// Copies until an end closes or the budget is used up, which is `true`.
fn pump(mut from: TcpStream, mut into: TcpStream, mut budget: Option<usize>) -> bool {
    let cut = loop {
        let most = budget.unwrap_or(4096).min(4096);
        if most == 0 {
            break true;
        }
        let mut buffer = vec![0; most];
        let got = from.read(&mut buffer);
        buffer.truncate(*got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) | Err(_) => break false,
            Ok(_) if into.write_all(&buffer).is_err() => break false,
            Ok(n) => budget = budget.map(|left| left - n),
        }
    };
    _ = from.shutdown(std::net::Shutdown::Both);
    _ = into.shutdown(std::net::Shutdown::Both);
    cut
}
