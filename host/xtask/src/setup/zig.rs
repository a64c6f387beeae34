//! The C compiler of QuickJS, for the interpreter of TypeScript: Zig's, which brings the headers of WASI. It is a package of PyPI, taken by
//! its digest, so everybody compiles with the same one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use monkeyci_testbed::programs::For;

use super::{apt, lock};
use crate::command::{program, shown, within};
use crate::paths::Paths;
use crate::say::Step;

/// The package, and the digests of its files for Linux on `x86_64` and `aarch64`.
const PACKAGE: &str = "ziglang==0.17.1";
const DIGESTS: [&str; 2] = [
    "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
    "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
];
/// How long fetching 100 MB may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// Finds the compiler, or fetches it, and says how cargo calls it for scripts.
pub fn ensure(step: &Step, paths: &Paths) -> Result<Vec<(&'static str, OsString)>> {
    let folder = paths.target.join("xtask").join(PACKAGE.replace("==", "-"));
    if !folder.is_dir() {
        apt::ensure(step, paths, &[For::Languages])?;
        let _lock = lock(step, paths)?;
        if !folder.is_dir() {
            let by_hand = "it is needed to compile QuickJS for the interpreter of TypeScript";
            fetch(step, paths, &folder)
                .with_context(|| format!("there is no {PACKAGE}, a package of PyPI; {by_hand}"))?;
        }
    }
    let [compiler, archiver] = [write(&folder, "cc", COMPILER)?, write(&folder, "ar", ARCHIVER)?];
    let stack_header = paths.root.join("guest-sdk/typescript/c/stack.h");
    // No check that would end the program where QuickJS counts on overflows, and no word of what is not ours to mend.
    let flags = format!("-include {} -fno-sanitize=undefined -Wno-everything", stack_header.display());
    Ok(vec![
        ("CC_wasm32_wasip2", compiler.into()),
        ("AR_wasm32_wasip2", archiver.into()),
        ("CFLAGS_wasm32_wasip2", flags.into()),
        // Else it would fetch a compiler itself.
        ("RQUICKJS_SYS_NO_WASI_SDK", "1".into()),
        ("ZIG_GLOBAL_CACHE_DIR", folder.join("cache").into()),
        ("ZIG_LOCAL_CACHE_DIR", folder.join("cache").into()),
        ("CARGO_ENCODED_RUSTFLAGS", remapped(paths).into()),
    ])
}

/// Zig names the target otherwise than cargo.
const COMPILER: &str = "\
#!/bin/sh
for argument in \"$@\"; do
    shift
    case \"$argument\" in --target=*) ;; *) set -- \"$@\" \"$argument\" ;; esac
done
exec \"${0%/*}/ziglang/zig\" cc -target wasm32-wasi \"$@\"
";
const ARCHIVER: &str = "#!/bin/sh\nexec \"${0%/*}/ziglang/zig\" ar \"$@\"\n";

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    // Cargo compiles anew when it was written anew.
    if !fs::read_to_string(&path).is_ok_and(|there| there == text) {
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// What keeps the folders of this machine out of the component, so that everybody's has the same bytes.
fn remapped(paths: &Paths) -> String {
    let home = std::env::home_dir().unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let folders = [(cargo, "cargo"), (paths.root.clone(), "monkeyci-host"), (paths.target.clone(), "target")];
    let flags = folders.map(|(folder, name)| format!("--remap-path-prefix={}=/{name}", folder.display()));
    // So cargo divides flags.
    flags.join("\x1f")
}

fn fetch(step: &Step, paths: &Paths, folder: &Path) -> Result<()> {
    // In another folder first: one that is half unpacked must not be found.
    let partial = folder.with_extension("partial");
    fs::remove_dir_all(&partial).or_else(|error| if partial.exists() { Err(error) } else { Ok(()) })?;
    fs::create_dir_all(&partial)?;
    let wanted = partial.join("wanted.txt");
    let digests = DIGESTS.map(|digest| format!(" --hash=sha256:{digest}")).concat();
    fs::write(&wanted, format!("{PACKAGE}{digests}\n"))
        .with_context(|| format!("cannot write {}", wanted.display()))?;
    let mut download = program("pip3");
    download.args(["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"]).arg(&wanted);
    download.arg("--dest").arg(&partial);
    step.doing(&shown(&download));
    within(&mut download, LIMIT, &paths.log("zig-download")?)?;
    let wheel = fs::read_dir(&partial)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "whl"));
    let wheel = wheel.with_context(|| format!("pip put no package into {}", partial.display()))?;
    let mut unpack = program("python3");
    unpack.args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&partial);
    within(&mut unpack, LIMIT, &paths.log("zig-unpack")?)?;
    fs::remove_file(&wheel).with_context(|| format!("cannot remove {}", wheel.display()))?;
    // An archive of this kind does not know who may execute what.
    let zig = partial.join("ziglang/zig");
    fs::set_permissions(&zig, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot change {}", zig.display()))?;
    fs::rename(&partial, folder).with_context(|| format!("cannot rename {}", partial.display()))?;
    step.note(&format!("{PACKAGE} is in {}", folder.display()));
    Ok(())
}
