//! The file system that the kernel sees.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::control::Control;
use crate::names::Names;
use crate::settings::Settings;
use crate::storage::{How, Storage};

const TTL: Duration = Duration::from_secs(1);
/// `O_TRUNC`, see open(2).
const TRUNCATE: i32 = 0o1000;

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Written to, and not uploaded.
    dirty: bool,
}

#[derive(Debug)]
struct Table {
    names: Names,
    open: HashMap<u64, Open>,
    last: u64,
}

#[derive(Debug)]
pub(crate) struct Share {
    storage: Storage,
    control: Control,
    owner: (u32, u32),
    table: Mutex<Table>,
}

impl Share {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            storage: Storage {
                cache: settings.cache.clone(),
                store: settings.folder.join("store"),
            },
            control: Control::new(&settings.folder),
            owner: settings.owner,
            table: Mutex::new(Table { names: Names::new(), open: HashMap::new(), last: 0 }),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: INodeNo) -> io::Result<PathBuf> {
        self.control.operation();
        self.table().names.path(number.into()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    fn attr(&self, path: &Path) -> io::Result<FileAttr> {
        let (meta, modified) = self.storage.look(path)?;
        let ino = INodeNo(self.table().names.number(path));
        let kind = if meta.is_dir() { FileType::Directory } else { FileType::RegularFile };
        Ok(FileAttr {
            ino,
            size: meta.len(),
            blocks: meta.len().div_ceil(512),
            atime: modified,
            mtime: modified,
            ctime: modified,
            crtime: modified,
            kind,
            perm: 0o777,
            nlink: 1,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn opened(&self, path: PathBuf, create: bool, flags: i32) -> io::Result<u64> {
        let truncate = flags & TRUNCATE != 0;
        let file = self.storage.open(&path, How { create, truncate })?;
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        table.open.insert(number, Open { file, path, dirty: create || truncate });
        Ok(number)
    }

    fn with_open<T>(
        &self,
        handle: FileHandle,
        act: impl FnOnce(&mut Open) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut table = self.table();
        let open = table.open.get_mut(&handle.into());
        act(open.ok_or_else(|| io::Error::from_raw_os_error(9))?)
    }

    fn flushed(&self, handle: FileHandle) -> io::Result<()> {
        self.with_open(handle, |open| {
            if !open.dirty {
                return Ok(());
            }
            if self.control.refuses_uploads() {
                let path = open.path.display();
                log(&format!("FileCache::FlushFile : {path} upload failed [refused]"));
                return Err(io::Error::from_raw_os_error(5));
            }
            self.storage.upload(&open.path)?;
            open.dirty = false;
            Ok(())
        })
    }

    fn released(&self, handle: FileHandle) -> io::Result<()> {
        if let Err(error) = self.flushed(handle) {
            self.with_open(handle, |open| {
                let path = open.path.display();
                log(&format!("FileCache::releaseFileInternal : failed to flush file {path}"));
                Ok(())
            })?;
            // It stays open for ever.
            return Err(error);
        }
        self.table().open.remove(&handle.into());
        Ok(())
    }

    fn resized(&self, number: INodeNo, handle: Option<FileHandle>, size: u64) -> io::Result<()> {
        if let Some(handle) = handle {
            return self.with_open(handle, |open| {
                open.dirty = true;
                open.file.set_len(size)
            });
        }
        let handle = FileHandle(self.opened(self.path(number)?, false, 0)?);
        self.with_open(handle, |open| {
            open.dirty = true;
            open.file.set_len(size)
        })?;
        self.released(handle)
    }
}

fn log(text: &str) {
    crate::say(&format!(
        "Sat Nov 28 00:00:00.000 UTC 2026 : blobfuse2[1] : [/] LOG_ERR [file_cache.go (1)]: {text}"
    ));
}

fn errno(error: io::Error) -> Errno {
    Errno::from(error)
}

impl Filesystem for Share {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.child(parent, name).and_then(|path| self.attr(&path)) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.path(ino).and_then(|path| self.attr(&path)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        fh: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // Modes, owners and times are taken and forgotten.
        let sized = size.map_or(Ok(()), |size| self.resized(ino, fh, size));
        match sized.and_then(|()| self.path(ino)).and_then(|path| self.attr(&path)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let made = self.child(parent, name).and_then(|path| {
            fs::create_dir(self.storage.store.join(&path))?;
            self.attr(&path)
        });
        match made {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.child(parent, name);
        answer(
            path.and_then(|path| self.storage.both(|root| fs::remove_file(root.join(&path)))),
            reply,
        );
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.child(parent, name);
        answer(path.and_then(|path| fs::remove_dir(self.storage.store.join(path))), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = || {
            let (from, to) = (self.child(parent, name)?, self.child(to, new)?);
            self.storage.both(|root| fs::rename(root.join(&from), root.join(&to)))?;
            self.table().names.rename(&from, &to);
            Ok(())
        };
        answer(renamed(), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.path(ino).and_then(|path| self.opened(path, false, flags.0)) {
            Ok(number) => reply.opened(FileHandle(number), FopenFlags::empty()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.child(parent, name).and_then(|path| {
            let number = self.opened(path.clone(), true, flags)?;
            Ok((self.attr(&path)?, number))
        });
        match made {
            Ok((attr, number)) => {
                reply.created(&TTL, &attr, Generation(0), FileHandle(number), FopenFlags::empty());
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.control.operation();
        let read = self.with_open(fh, |open| {
            let mut data = vec![0; usize::try_from(size).unwrap_or_default()];
            let length = open.file.read_at(&mut data, offset)?;
            data.truncate(length);
            Ok(data)
        });
        match read {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.control.operation();
        let written = self.with_open(fh, |open| {
            open.dirty = true;
            open.file.write_all_at(data, offset)
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or_default()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, fh: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.control.operation();
        answer(self.flushed(fh), reply);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.control.operation();
        answer(self.released(fh), reply);
    }

    /// It uploads nothing.
    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = self.path(ino).and_then(|path| Ok((self.storage.list(&path)?, path)));
        let (names, path) = match names {
            Ok(found) => found,
            Err(error) => return reply.error(errno(error)),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, name) in names.iter().enumerate().skip(from) {
            let Ok(attr) = self.attr(&path.join(name)) else { continue };
            let next = u64::try_from(place).unwrap_or_default() + 1;
            if reply.add(attr.ino, next, attr.kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn answer(done: io::Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}
