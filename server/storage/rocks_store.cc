#include "server/storage/rocks_store.h"

#include <charconv>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "server/storage/data_dir.h"
#include "server/storage/database.h"
#include "server/storage/keys.h"
#include "server/storage/reach_marker.h"
#include "server/storage/value_codec.h"
#include "server/storage/writer.h"

namespace millrace {
namespace {

// Most lookups on the pool at a time. Reads that wait behind them share the next lookup, so that few threads serve
// thousands of reads.
constexpr size_t kReadsRunningMax = 2;
constexpr size_t kReadKeysMax = 512;
// Most keys that one read looks up on the engine thread, if that needs no I/O. That takes about as long as waking
// another thread.
constexpr size_t kInlineKeysMax = 8;

class RocksStore final : public Store {
 public:
  RocksStore(RocksOptions options, Loop& loop, Pool& pool, std::unique_ptr<DataDir> directory,
             std::unique_ptr<Database> database)
      : options_(std::move(options)),
        loop_(loop),
        pool_(pool),
        directory_(std::move(directory)),
        database_(std::move(database)),
        guard_(options_.disk_space != nullptr ? *options_.disk_space : system_disk_, options_.path,
               options_.disk_reserve),
        changed_(loop),
        self_(std::make_shared<RocksStore*>(this)) {
    guard_.Measure();
    state_ = guard_.low() ? StoreState::kDiskLow : StoreState::kOk;
    // A report may arrive after the store is destroyed. Only the engine thread can check that, so the report holds a
    // weak pointer.
    const std::weak_ptr<RocksStore*> self = self_;
    auto report = [&loop, self](Writer::Report report) {
      loop.Post([self, report = std::move(report)] {
        if (const auto store = self.lock()) (*store)->Note(report);
      });
    };
    writer_ = std::make_unique<Writer>(*database_, guard_, options_.durability, loop.clock(), std::move(report));
  }

  ~RocksStore() override {
    Submit();
    writer_.reset();
    database_->Close();  // reads that the pool has not run yet fail with STORE_UNAVAILABLE
  }

  Task<Status> Commit(WriteBatch batch, CommitMode mode) override {
    if (state_ == StoreState::kReopening) {
      co_await loop_.Yield();
      co_return MakeError(Reason::kStoreUnavailable, "the store is being reopened");
    }
    const auto done = std::make_shared<Promise<Status>>(loop_);
    committing_.push_back(done);
    // Coroutines that are ready now may commit too: the writer is woken once for all of them.
    if (submitting_.empty()) {
      loop_.Defer([self = std::weak_ptr<RocksStore*>(self_)] {
        if (const auto store = self.lock()) (*store)->Submit();
      });
    }
    submitting_.push_back({.batch = std::move(batch), .mode = mode, .epoch = epoch_});
    co_await done->Wait();
    co_return done->value();
  }

  Task<StatusOr<std::optional<std::string>>> Get(std::string key) override {
    std::vector<std::string> keys;
    keys.push_back(std::move(key));
    MR_CO_ASSIGN_OR_RETURN(std::vector<std::optional<std::string>> values, co_await MultiGet(std::move(keys)));
    co_return std::move(values.front());
  }

  Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) override {
    if (keys.size() <= kInlineKeysMax) {
      if (auto found = database_->MultiGetFromMemory(keys)) {
        co_await loop_.Yield();
        co_return *std::move(found);
      }
    }
    const std::shared_ptr<Read> read = Enqueue(std::move(keys));
    co_await read->done.Wait();
    std::vector<std::optional<std::string>> values;
    values.reserve(read->values.size());
    for (Value& value : read->values) {
      MR_CO_RETURN_IF_ERROR(value.status());
      values.push_back(*std::move(value));
    }
    co_return values;
  }

  Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                Direction direction) override {
    auto scan = [database = database_, begin = std::move(begin), end = std::move(end), entries_max, bytes_max,
                 direction] { return database->Scan(begin, end, entries_max, bytes_max, direction); };
    co_return co_await Compute(loop_, pool_, std::move(scan));
  }

  Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) override {
    auto estimate = [database = database_, begin = std::move(begin), end = std::move(end)] {
      return database->EstimateSize(begin, end);
    };
    co_return co_await Compute(loop_, pool_, std::move(estimate));
  }

  StoreState state() const override { return state_; }

  Task<void> WaitForChange(StoreState from) override {
    while (state_ == from) co_await changed_.Wait();
  }

  StoreFigures Figures() const override {
    StoreFigures figures = writer_->Figures();
    figures.corrupt = database_->corrupt();
    figures.disk_free_bytes = guard_.free_bytes();
    figures.disk_reserve_bytes = guard_.reserve();
    return figures;
  }

 private:
  using Value = StatusOr<std::optional<std::string>>;
  // One call of Get or MultiGet.
  struct Read {
    Read(Loop& loop, std::vector<std::string> wanted) : keys(std::move(wanted)), done(loop) {}

    std::vector<std::string> keys;
    std::vector<Value> values;
    Promise<bool> done;
  };
  // Keys and values of several such calls, for a thread of the pool: it shares no object of the loop's.
  struct Lookup {
    std::vector<std::string> keys;
    std::vector<Value> values;
  };

  void Submit() { writer_->Submit(std::exchange(submitting_, {})); }

  void Note(const Writer::Report& report) {
    epoch_ = report.epoch;
    if (state_ != report.state) {
      state_ = report.state;
      changed_.NotifyAll();
    }
    for (size_t i = 0; i < report.finished; ++i) {
      committing_.front()->Set(report.status);
      committing_.pop_front();
    }
  }

  std::shared_ptr<Read> Enqueue(std::vector<std::string> keys) {
    auto read = std::make_shared<Read>(loop_, std::move(keys));
    reads_.push_back(read);
    if (!starts_reads_ && reads_running_.size() < kReadsRunningMax) {
      // Starts on a later turn, so that all coroutines that are ready or just beginning share the lookup.
      starts_reads_ = true;
      loop_.Spawn(StartReadsOf(self_));
    }
    return read;
  }

  static Task<void> StartReadsOf(std::weak_ptr<RocksStore*> self) {
    if (const auto store = self.lock()) (*store)->StartReads();
    co_return;
  }

  void StartReads() {
    starts_reads_ = false;
    while (!reads_.empty() && reads_running_.size() < kReadsRunningMax) StartLookup();
  }

  void StartLookup() {
    const uint64_t id = ++lookups_;
    std::vector<std::shared_ptr<Read>>& reads = reads_running_[id];
    auto lookup = std::make_shared<Lookup>();
    while (!reads_.empty() && lookup->keys.size() < kReadKeysMax) {
      for (std::string& key : reads_.front()->keys) lookup->keys.push_back(std::move(key));
      reads.push_back(std::move(reads_.front()));
      reads_.pop_front();
    }
    absl::AnyInvocable<void()> work = [database = database_, lookup] {
      lookup->values = database->MultiGet(lookup->keys);
    };
    absl::AnyInvocable<void()> done = [self = std::weak_ptr<RocksStore*>(self_), id, lookup] {
      if (const auto store = self.lock()) (*store)->FinishLookup(id, *lookup);
    };
    pool_.Submit(std::move(work), std::move(done));
  }

  void FinishLookup(uint64_t id, Lookup& lookup) {
    const auto running = reads_running_.extract(id);
    auto value = lookup.values.begin();
    for (const std::shared_ptr<Read>& read : running.mapped()) {
      for (size_t i = 0; i < read->keys.size(); ++i) read->values.push_back(std::move(*value++));
      read->done.Set(true);
    }
    StartReads();
  }

  const RocksOptions options_;
  Loop& loop_;
  Pool& pool_;
  const std::unique_ptr<DataDir> directory_;  // released after the database is closed
  const std::shared_ptr<Database> database_;  // shared with reads on the pool
  SystemDiskSpace system_disk_;
  DiskGuard guard_;

  StoreState state_ = StoreState::kOk;
  uint64_t epoch_ = 0;
  Event changed_;
  std::vector<Writer::Entry> submitting_;                    // batches that the writer gets next
  std::deque<std::shared_ptr<Promise<Status>>> committing_;  // in the order of submission
  std::deque<std::shared_ptr<Read>> reads_;                  // reads that have not begun
  std::map<uint64_t, std::vector<std::shared_ptr<Read>>> reads_running_;
  uint64_t lookups_ = 0;
  bool starts_reads_ = false;
  std::shared_ptr<RocksStore*> self_;  // posted functions have weak pointers to it, to check if the store still exists
  std::unique_ptr<Writer> writer_;
};

// Checks the format that the store itself has, for copies of RocksDB's files without our file `format`; writes it into
// a new store.
Status CheckFormat(Database& database, const DataDir& directory) {
  const std::string key = KeyBuilder(Table::kMeta).Text("format");
  const StatusOr<std::optional<std::string>> value = std::move(database.MultiGet({key}).front());
  // Damage of this block alone does not make the rest unreadable.
  if (ReasonOf(value.status()) == Reason::kStoreCorrupt && directory.has_format()) return absl::OkStatus();
  MR_RETURN_IF_ERROR(value.status());
  if (!value->has_value()) {
    std::vector<WriteBatch> batches(1);
    batches.front().Put(key, EncodeValue(key, std::string_view(std::to_string(kStoreFormat))));
    return database.Write(batches, Database::Sync::kYes);
  }
  MR_ASSIGN_OR_RETURN(const std::string format, DecodeValue(key, **value));
  int number = 0;
  std::from_chars(format.data(), format.data() + format.size(), number);
  return CheckStoreFormat(number);
}

}  // namespace

StatusOr<std::unique_ptr<Store>> OpenRocksStore(RocksOptions options, Loop& loop, Pool& pool) {
  std::string boot_id = options.boot_id.empty() ? SystemBootId() : options.boot_id;
  MR_ASSIGN_OR_RETURN(std::unique_ptr<DataDir> directory, DataDir::Hold(options.path, std::move(boot_id)));
  MR_ASSIGN_OR_RETURN(const bool exists, directory->HasStore());
  MR_ASSIGN_OR_RETURN(const std::optional<Reach> reach, ReachMarker(options.path).Read());
  const Database::Options how = {
      .path = options.path,
      .file_system = options.file_system,
      .create = !exists || !directory->has_format(),
      .tail = directory->SameBoot() ? Database::LogTail::kWhole : Database::LogTail::kUnsynced,
      .open_files_max = options.open_files_max};
  // If it was not closed, what the log has is found out before anything is written: replaying a log that lacks a part
  // would make the missing part useless.
  if (exists && reach && reach->closed < reach->written) {
    const StatusOr<uint64_t> found = Database::FindLastChange(how);
    if (found.ok()) MR_RETURN_IF_ERROR(CheckReach(*reach, *found, directory->SameBoot()));
  }
  MR_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(how));
  if (reach) MR_RETURN_IF_ERROR(CheckReach(*reach, database->last_change(), directory->SameBoot()));
  MR_RETURN_IF_ERROR(CheckFormat(*database, *directory));
  // Before the boot is recorded: the marker of an earlier boot may promise more than was on the disk.
  database->StartMarking();
  MR_RETURN_IF_ERROR(directory->MarkOpened());
  std::unique_ptr<Store> store =
      std::make_unique<RocksStore>(std::move(options), loop, pool, std::move(directory), std::move(database));
  return store;
}

}  // namespace millrace
