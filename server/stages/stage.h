// A stage kind, as the engine knows it: one narrow interface. The engine feeds it, remembers its results, commits what
// it makes and resumes it; the kind only says what becomes of items.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/pipeline.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/pool.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/call.h"

namespace millrace {

// An item on its way into a stage. `json` is shared: items are never changed in place.
struct InputItem {
  int64_t ordinal = 0;
  std::string id;
  std::shared_ptr<const std::string> json;  // one JSON object
  bool degraded = false;                    // a fallback made it
};

// What a stage made of an item (or, for a barrier, an item it made).
struct StageItem {
  v1::ItemState state = v1::ITEM_STATE_OK;  // OK, DEGRADED, FAILED, SKIPPED
  std::string id;                           // empty: the input's
  std::string json;                         // for OK and DEGRADED; one JSON object
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  std::string message;
  std::vector<std::string> notes;      // rules that did something; of a merge, the decisions
  std::vector<std::string> input_ids;  // where they are not itself
  std::vector<Digest> call_keys;
  storage::v1::CallTotals totals;
  Settlement settlement;    // of its calls; its batch is committed with the item
  bool stopped = false;     // the run was paused or cancelled first: nothing has ended
  int64_t wake_micros = 0;  // not 0: park it until this wall time, then work on it again
};

// A failed, skipped item.
StageItem FailedItem(v1::ErrorReason reason, std::string message);
StageItem SkippedItem(v1::ErrorReason reason, std::string message);
// A failed item out of an error, with its reason.
StageItem FailedItem(const Status& status);

// What a running stage may use.
struct StageContext {
  Loop& loop;
  Pool& pool;
  CallHandler& calls;
  std::string run;
  std::string pipeline;
  std::string stage;
  std::string generation;  // of this run for sinks: run and number of redrives
  int64_t as_of_micros = 0;
  CallContext call;  // filled but for the items
};

// Works on items one at a time or many together, each apart from the others.
class ItemStage {
 public:
  virtual ~ItemStage() = default;

  // True: Compute does all the work, on the pool. False: Process does.
  virtual bool pure() const = 0;
  // Makes items out of items, in their order: a pure function, any thread.
  virtual std::vector<StageItem> Compute(const std::vector<InputItem>& items) const;
  // Works on one item; engine thread; may call models.
  virtual Task<StageItem> Process(StageContext& context, InputItem item) const;
};

// Items that a barrier reads in ordinal order, a page at a time; pages are bounded. Engine thread.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  // The next items; empty at the end.
  virtual Task<StatusOr<std::vector<InputItem>>> Next() = 0;
  // Begins again at the first item.
  virtual void Rewind() = 0;
};

// Where a barrier puts what it makes, in order; bounded, so Put may wait.
class ItemWriter {
 public:
  virtual ~ItemWriter() = default;
  virtual Task<Status> Put(std::vector<StageItem> items) = 0;
};

// Works on all items of its input at once, when it is closed. `inputs` of its items name input items by id; input items
// that end here (left out, in no group) are put with their own id and state SKIPPED.
class BarrierStage {
 public:
  virtual ~BarrierStage() = default;
  virtual Task<Status> Run(StageContext& context, ItemReader& reader, ItemWriter& writer) const = 0;
  // Bytes that it takes for so many items of so many bytes together, about and at most; 0: not known.
  virtual int64_t MemoryBytes(int64_t /*items*/, int64_t /*bytes*/) const { return 0; }
};

// Writes all items to outside at once. Must be harmless to repeat: the engine repeats it after a crash.
class SinkStage {
 public:
  virtual ~SinkStage() = default;
  virtual Task<Status> Write(StageContext& context, ItemReader& reader) const = 0;
};

// Bytes of a source, from outside: a file, or what a client sends. Reads on the pool; engine thread otherwise.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At most `size` bytes from `offset`; empty: nothing there (yet). `end`: the source ends where these bytes end.
  struct Chunk {
    std::string bytes;
    bool end = false;
  };
  virtual Task<StatusOr<Chunk>> Read(int64_t offset, size_t size) = 0;
  // Digest of what the source is (size, time of change, its first 64 KiB); empty for a client's input.
  virtual Task<StatusOr<std::string>> Identity() = 0;
};

// One row that a fetch read.
struct FetchedRow {
  std::string id;  // empty where the row is bad and has none: `row-N` is used
  StageItem item;  // OK or FAILED (BAD_ROW, BAD_ITEM, BAD_ITEM_ID; the message names line and byte)
};

// Turns bytes into rows, incrementally: a pure state machine. After Feed has been given bytes [0, n), `cursor()` is
// where reading can go on.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // Parses what it can of `bytes`, which begin where the last Feed's `consumed` ended. INVALID_ARGUMENT: the source as
  // a whole can't be read (no header, a required column missing, UTF-16).
  struct Rows {
    std::vector<FetchedRow> rows;
    size_t consumed = 0;  // bytes of `bytes` that are done with
  };
  virtual StatusOr<Rows> Feed(std::string_view bytes, bool end) = 0;
  // Rows read so far and what else it must know to go on (the header), for a new reader's Restore.
  virtual std::string State() const = 0;
  virtual Status Restore(std::string_view state) = 0;
};

// Reads items from outside. Its rows are committed with a cursor and read on from it after a crash.
class FetchStage {
 public:
  virtual ~FetchStage() = default;
  // Path of the file; empty: the items come from the client.
  virtual std::string path() const = 0;
  // Null for inline items.
  virtual std::unique_ptr<RowReader> MakeReader() const = 0;
  // An item sent in a request, checked; `row` counts from 1.
  virtual FetchedRow FromClient(const v1::InputItem& item, int64_t row) const = 0;
};

// What a kind is in a pipeline: exactly one of the four pointers is set.
struct StageWork {
  std::unique_ptr<ItemStage> items;
  std::unique_ptr<BarrierStage> barrier;
  std::unique_ptr<SinkStage> sink;
  std::unique_ptr<FetchStage> fetch;
};

// A file of the outside world, opened beneath the allowed roots. (Implemented by base/… and the coordinator.)
class FileAccess {
 public:
  virtual ~FileAccess() = default;
  // The path to open for reading, after checks: below an allowed root, no `..`, no link out.
  // PERMISSION_DENIED (FILE_NOT_ALLOWED), NOT_FOUND (FILE_ERROR).
  virtual StatusOr<std::string> ForReading(std::string_view path) const = 0;
  // The path to write to, likewise; its directory must exist.
  virtual StatusOr<std::string> ForWriting(std::string_view path) const = 0;
};

// What a kind is made from.
struct StageDefinition {
  const v1::Pipeline& pipeline;  // for its definition files
  const v1::Stage& stage;        // parameters bound
  const FileAccess& files;
};

// A stage kind.
struct StageKind {
  std::string name;           // fetch, prepare, …: the name of the field of Stage.kind
  int semantics_version = 1;  // raised when the same definition and input give another output
  // Checks what a reader of the message can't; wrong fields by their path in the stage, such as `synthesize.prompt`.
  std::function<StatusOr<StageWork>(const StageDefinition&)> make;
  // Fields that its items have after it, beyond those that go in; nullopt: not known. `fresh`: only these, none goes
  // through.
  struct Fields {
    std::optional<std::vector<std::string>> made;
    bool fresh = false;
  };
  std::function<Fields(const v1::Stage&)> fields;
};

// Kinds by name. A value, owned by whoever builds the engine.
class StageRegistry {
 public:
  void Add(StageKind kind);
  const StageKind* Find(std::string_view name) const;
  // The kind of a stage: by which member of its `kind` is set; null where none is.
  const StageKind* Of(const v1::Stage& stage) const;

 private:
  std::map<std::string, StageKind, std::less<>> kinds_;
};

// The name of the member of `kind` that is set; empty where none is.
std::string KindName(const v1::Stage& stage);

// The one list of kinds. (builtin.cc)
StageRegistry BuiltinStages();

}  // namespace millrace
