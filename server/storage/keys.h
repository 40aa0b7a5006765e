// Keys of the store. Every key begins with the tenant (one byte, 0 today) and its table (one byte); the parts that
// follow are encoded so that keys sort as their parts do. docs/formats.md lists the tables. A new table needs a family,
// too (families.cc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/digest.h"

namespace millrace {

// The tables. A letter once released keeps its meaning.
enum class Table : char {
  kMeta = '0',        // (text): `format`, the version of the store; (`active`, run): it has not ended
  kPipeline = 'p',    // (name) -> PipelineRecord
  kRun = 'r',         // (run) -> RunRecord
  kRunOrder = 'o',    // (create micros, run) -> empty: for listing, newest last
  kRequest = 'q',     // (request id) -> RequestRecord
  kStage = 's',       // (run, stage) -> StageRecord
  kItem = 'i',        // (run, stage, ordinal) -> ItemRecord
  kItemId = 'd',      // (run, stage, item id) -> ordinal, 8 bytes big-endian
  kItemCommit = 'c',  // (run, stage, commit number) -> ordinal, 8 bytes big-endian
  kParked = 'k',      // (wake micros, run, stage, ordinal) -> empty
  kEvent = 'e',       // (run, number) -> RunEvent
  kInput = 'n',       // (run, stage, offset) -> InputRecord
  kInputState = 'N',  // (run, stage) -> InputState
  kMemo = 'm',        // (memo key) -> MemoRecord
  kMemoPart = 'M',    // (memo key, number) -> MemoRecord
  kRunMemo = 'R',     // (run, memo key) -> MemoRecord: kept for this run alone
  kSettled = 'l',     // (number) -> SettledRecord: a log, in the order of the settlements
  kRunSettled = 'L',  // (run, number) -> empty: the settled records of a run
  kAnswer = 'x',      // (call key) -> SettledIndex: the answer that later runs may reuse
  kRunAnswer = 'A',   // (run, call key) -> SettledIndex: what this run was answered, and its attempts
  kRunAttempt = 'a',  // (run, 0 or 1, attempt id) -> PendingRecord: attempts that no item counts (taken_over.h)
  kModel = 'v',       // (backend, model) -> ModelRecord
  kPending = 'w',     // (call key, slot) -> PendingRecord: an attempt that is started or answered, not settled
};

// Builds a key part by part.
class KeyBuilder {
 public:
  explicit KeyBuilder(Table table, uint8_t tenant = 0);

  // Any bytes; sorts as the text does, and no text is a prefix of another's encoding (0x00 becomes 0x00 0xff; the end
  // is 0x00 0x01).
  KeyBuilder& Text(std::string_view text);
  // 8 bytes, big-endian, the sign flipped: sorts as the number does.
  KeyBuilder& Number(int64_t number);
  // 32 bytes.
  KeyBuilder& Key(const Digest& digest);

  const std::string& str() const { return key_; }
  operator std::string() const { return key_; }

 private:
  std::string key_;
};

// Takes a key apart. A part is nullopt if the key does not have that form.
class KeyReader {
 public:
  // Skips tenant and table.
  explicit KeyReader(std::string_view key);
  std::optional<std::string> Text();
  std::optional<int64_t> Number();
  std::optional<Digest> Key();

 private:
  std::string_view rest_;
};

}  // namespace millrace
