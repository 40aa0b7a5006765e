#include "server/engine/step/row_source.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace millrace {
namespace {

constexpr Duration kDescriptorWait = std::chrono::milliseconds(100);

// Rows from the items that a client sends.
class ItemRows final : public RowSource {
 public:
  ItemRows(Loop& loop, Pool& pool, std::shared_ptr<const StageWork> work, std::shared_ptr<ClientInput> input,
           storage::v1::FetchCursor cursor)
      : loop_(loop), pool_(pool), work_(std::move(work)), input_(std::move(input)), cursor_(std::move(cursor)) {}

  Task<StatusOr<RowBatch>> Next() override {
    RowBatch batch;
    const bool closed = input_->state().closed();
    if (cursor_.offset() < input_->state().next_offset()) {
      MR_CO_ASSIGN_OR_RETURN(auto items, co_await input_->ReadItems(cursor_.offset()));
      const int64_t count = static_cast<int64_t>(items.size());
      if (count == 0) {
        co_return MakeError(Reason::kStoreCorrupt, "a part of the input is missing");
      }
      auto convert = [work = work_, items = std::move(items), row = cursor_.rows()]() mutable {
        std::vector<FetchedRow> rows;
        for (const v1::InputItem& item : items) rows.push_back(WorkAs<FetchStage>(*work).FromClient(item, ++row));
        return rows;
      };
      batch.rows = co_await Compute(loop_, pool_, std::move(convert));
      cursor_.set_offset(cursor_.offset() + count);
      cursor_.set_rows(cursor_.rows() + count);
    }
    cursor_.set_done(closed && cursor_.offset() == input_->state().next_offset());
    batch.waits = batch.rows.empty() && !cursor_.done();
    batch.after = cursor_;
    co_return batch;
  }

 private:
  Loop& loop_;
  Pool& pool_;
  const std::shared_ptr<const StageWork> work_;
  const std::shared_ptr<ClientInput> input_;
  storage::v1::FetchCursor cursor_;
};

// Bytes of a client's input, as a source.
class ClientBytes final : public ByteSource {
 public:
  explicit ClientBytes(std::shared_ptr<ClientInput> input) : input_(std::move(input)) {}

  Task<StatusOr<Chunk>> Read(int64_t offset, size_t) override {
    Chunk chunk;
    const bool closed = input_->state().closed();
    MR_CO_ASSIGN_OR_RETURN(auto bytes, co_await input_->ReadBytes(offset));
    chunk.bytes = std::move(bytes);
    chunk.end = closed && offset + static_cast<int64_t>(chunk.bytes.size()) == input_->state().next_offset();
    co_return chunk;
  }
  Task<StatusOr<std::string>> Identity() override { co_return std::string(); }

 private:
  const std::shared_ptr<ClientInput> input_;
};

// Rows that a reader parses from bytes.
class ByteRows final : public RowSource {
 public:
  ByteRows(Loop& loop, Pool& pool, size_t read_bytes, std::unique_ptr<ByteSource> bytes,
           std::shared_ptr<RowReader> reader, storage::v1::FetchCursor cursor)
      : loop_(loop),
        pool_(pool),
        read_bytes_(read_bytes),
        bytes_(std::move(bytes)),
        reader_(std::move(reader)),
        cursor_(std::move(cursor)) {}

  Task<StatusOr<RowBatch>> Next() override {
    RowBatch batch;
    while (batch.rows.empty() && !cursor_.done()) {
      const int64_t read_to = cursor_.offset() + static_cast<int64_t>(rest_.size());
      // If a row is larger the size doubles each time, because the row is parsed from its beginning again.
      const size_t size = std::max(read_bytes_, rest_.size());
      if (ahead_.bytes.empty()) {
        MR_CO_ASSIGN_OR_RETURN(auto chunk, co_await bytes_->Read(read_to, size));
        if (chunk.bytes.empty() && !chunk.end) {
          batch.waits = true;
          break;
        }
        ahead_ = std::move(chunk);
      }
      rest_.append(ahead_.bytes, 0, size);
      ahead_.bytes.erase(0, size);
      const bool end = ahead_.end && ahead_.bytes.empty();
      struct Fed {
        StatusOr<RowReader::Rows> rows;
        std::string state;
        std::string rest;
      };
      auto feed = [reader = reader_, rest = std::move(rest_), end]() mutable {
        Fed fed{reader->Feed(rest, end), {}, {}};
        if (fed.rows.ok()) {
          rest.erase(0, fed.rows->consumed);
          fed.state = reader->State();
          fed.rest = std::move(rest);
        }
        return fed;
      };
      Fed fed = co_await Compute(loop_, pool_, std::move(feed));
      MR_CO_RETURN_IF_ERROR(fed.rows.status());
      rest_ = std::move(fed.rest);
      cursor_.set_offset(cursor_.offset() + static_cast<int64_t>(fed.rows->consumed));
      cursor_.set_rows(cursor_.rows() + static_cast<int64_t>(fed.rows->rows.size()));
      cursor_.set_reader_state(std::move(fed.state));
      cursor_.set_done(end);
      batch.rows = std::move(fed.rows->rows);
    }
    batch.after = cursor_;
    co_return batch;
  }

 private:
  Loop& loop_;
  Pool& pool_;
  const size_t read_bytes_;
  const std::unique_ptr<ByteSource> bytes_;
  const std::shared_ptr<RowReader> reader_;
  storage::v1::FetchCursor cursor_;
  std::string rest_;         // parsed, not yet consumed
  ByteSource::Chunk ahead_;  // read, not yet parsed: a client's part is read as a whole
};

Status NoReader(const std::string& stage) {
  return MakeError(Reason::kInvalidField, fmt::format("stage `{}` takes items, not bytes", stage));
}

}  // namespace

Task<StatusOr<std::unique_ptr<RowSource>>> OpenRows(StepHost& host, int stage, storage::v1::FetchCursor cursor) {
  const StageSlot& slot = host.slot(stage);
  Loop& loop = host.deps().loop;
  Pool& pool = slot.rows->pool();
  if (slot.input && slot.input->state().items()) {
    co_return std::make_unique<ItemRows>(loop, pool, slot.work, slot.input, std::move(cursor));
  }
  const FetchStage& fetch = WorkAs<FetchStage>(*slot.work);
  std::shared_ptr<RowReader> reader = fetch.MakeReader();
  if (slot.input && (reader == nullptr || slot.input->state().next_offset() == 0)) {
    // It was closed empty, so it has no header to read.
    co_return std::make_unique<ItemRows>(loop, pool, slot.work, slot.input, std::move(cursor));
  }
  if (reader == nullptr) co_return NoReader(slot.rows->stage());
  std::unique_ptr<ByteSource> bytes;
  if (slot.input) {
    bytes = std::make_unique<ClientBytes>(slot.input);
  } else {
    if (!host.options().open_file) co_return MakeError(Reason::kFileError, "no files are read here");
    auto opened = host.options().open_file(loop, pool, host.files(), fetch.path());
    // No descriptor is free: that passes, and is not the run's fault.
    while (ReasonOf(opened.status()) == Reason::kTooMany && !host.stopped()) {
      co_await loop.Sleep(kDescriptorWait);
      opened = host.options().open_file(loop, pool, host.files(), fetch.path());
    }
    if (!opened.ok()) {
      host.PauseForFile(stage, opened.status());
      co_return opened.status();
    }
    bytes = *std::move(opened);
  }
  MR_CO_ASSIGN_OR_RETURN(std::string identity, co_await bytes->Identity());
  if (cursor.rows() > 0 || cursor.offset() > 0) {
    if (cursor.source_digest() != identity) {
      co_return MakeError(Reason::kFileError,
                          fmt::format("`{}` changed while it was being read: start a new run, which computes only "
                                      "what is new",
                                      fetch.path()));
    }
    MR_CO_RETURN_IF_ERROR(reader->Restore(cursor.reader_state()));
  }
  cursor.set_source_digest(std::move(identity));
  co_return std::make_unique<ByteRows>(loop, pool, host.options().read_bytes, std::move(bytes), std::move(reader),
                                       std::move(cursor));
}

}  // namespace millrace
