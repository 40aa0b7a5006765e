#include "server/stages/fetch/jsonl.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/text/encoding.h"

namespace millrace::fetch {
namespace {

constexpr int64_t kLineBytesDefault = 1 << 20;

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

class JsonlReader final : public RowReader {
 public:
  explicit JsonlReader(const v1::JsonlSource& source)
      : source_(source),
        line_bytes_max_(
            static_cast<size_t>(source.max_line_bytes() > 0 ? source.max_line_bytes() : kLineBytesDefault)) {}

  StatusOr<Rows> Feed(std::string_view bytes, bool end) override;
  std::string State() const override;
  Status Restore(std::string_view state) override;

 private:
  void TakeLine(std::string_view line, size_t at, bool broken_off, Rows& rows);

  const v1::JsonlSource source_;
  const size_t line_bytes_max_;
  size_t searched_ = 0;  // bytes of the line in hand that have no line end

  // Members that State holds.
  bool started_ = false;   // beyond a byte order mark
  bool skipping_ = false;  // what is left of a line that is too large
  int64_t rows_ = 0;
  int64_t line_ = 1;   // of the first byte that is not consumed
  size_t offset_ = 0;  // of that byte
};

StatusOr<RowReader::Rows> JsonlReader::Feed(std::string_view bytes, bool end) {
  Rows result;
  size_t at = 0;
  if (!started_) {
    if (bytes.size() < kEncodingBytes && !end) return result;
    MR_ASSIGN_OR_RETURN(at, BeginningOfText(bytes));
    started_ = true;
  }
  while (at < bytes.size()) {
    const std::string_view rest = bytes.substr(at);
    const size_t line_end = rest.find('\n', std::min(searched_, rest.size()));
    const bool whole = line_end != std::string_view::npos;
    const size_t size = whole ? line_end + 1 : rest.size();
    const size_t text_size = whole ? line_end : rest.size();
    searched_ = 0;
    if (skipping_) {
      skipping_ = !whole;
    } else if (text_size > line_bytes_max_) {
      ++rows_;
      result.rows.push_back(BadRow(
          v1::ERROR_REASON_BAD_ROW,
          fmt::format("line {}, byte {}: the line is larger than {} bytes", line_, offset_ + at, line_bytes_max_)));
      skipping_ = !whole;
    } else if (!whole && !end) {
      searched_ = rest.size();
      break;
    } else {
      TakeLine(rest.substr(0, text_size), at, !whole, result);
    }
    if (whole) ++line_;
    at += size;
  }
  result.consumed = at;
  offset_ += at;
  return result;
}

void JsonlReader::TakeLine(std::string_view line, size_t at, bool broken_off, Rows& rows) {
  const std::string_view text = Trimmed(line);
  if (text.empty()) return;
  ++rows_;
  at += static_cast<size_t>(text.data() - line.data());
  const std::string place = fmt::format("line {}, byte {}: ", line_, offset_ + at);
  rows.rows.push_back(ItemOfJson(text, "", source_.id_field(), source_.rename(), rows_, line_bytes_max_, place));
  StageItem& item = rows.rows.back().item;
  if (broken_off && item.reason == v1::ERROR_REASON_BAD_ROW) item.message += " (the file ends in this line)";
}

std::string JsonlReader::State() const {
  json::object state;
  state["started"] = started_;
  state["skipping"] = skipping_;
  state["rows"] = rows_;
  state["line"] = line_;
  state["offset"] = offset_;
  return json::serialize(state);
}

Status JsonlReader::Restore(std::string_view state) {
  try {
    const json::value value = json::parse(json::string_view(state.data(), state.size()));
    started_ = value.at("started").as_bool();
    skipping_ = value.at("skipping").as_bool();
    rows_ = value.at("rows").to_number<int64_t>();
    line_ = value.at("line").to_number<int64_t>();
    offset_ = value.at("offset").to_number<size_t>();
    searched_ = 0;
    return absl::OkStatus();
  } catch (const std::exception&) {
    return MakeError(Reason::kStoreCorrupt, "a reader's state is damaged");
  }
}

}  // namespace

std::unique_ptr<RowReader> MakeJsonlReader(const v1::JsonlSource& source) {
  return std::make_unique<JsonlReader>(source);
}

FetchedRow ItemOfJson(std::string_view text, std::string_view id, std::string_view id_member, const Renames& renames,
                      int64_t row, size_t bytes_max, std::string_view place) {
  const auto bad = [&](v1::ErrorReason reason, std::string_view problem) {
    return BadRow(reason, fmt::format("{}{}", place, problem));
  };
  if (text.find('\0') != std::string_view::npos) return bad(v1::ERROR_REASON_BAD_ROW, "the text has a NUL byte");
  if (!IsUtf8(text)) return bad(v1::ERROR_REASON_BAD_ROW, kNotUtf8);
  const StatusOr<json::value> value = ParseExact(text, {.depth = kOutsideDepthMax, .bytes = bytes_max});
  if (!value.ok()) return bad(v1::ERROR_REASON_BAD_ROW, MessageOf(value.status()));
  const json::object* object = value->if_object();
  if (object == nullptr) return bad(v1::ERROR_REASON_BAD_ITEM, "it is not a JSON object");
  std::string item_id(id);
  if (item_id.empty() && !id_member.empty()) {
    MemberId found = IdOfMember(*object, id_member, renames);
    if (!found.problem.empty()) return bad(v1::ERROR_REASON_BAD_ITEM_ID, found.problem);
    item_id = std::move(found.id);
  } else if (item_id.empty()) {
    item_id = fmt::format("row-{}", row);
  } else if (const std::optional<std::string> problem = IdProblem(item_id)) {
    return bad(v1::ERROR_REASON_BAD_ITEM_ID, *problem);
  }
  StatusOr<std::string> json = RenameMembers(text, *object, renames);
  if (!json.ok()) return bad(v1::ERROR_REASON_BAD_ITEM, MessageOf(json.status()));
  return GoodRow(std::move(item_id), *std::move(json));
}

}  // namespace millrace::fetch
