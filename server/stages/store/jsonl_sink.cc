#include "server/stages/store/jsonl_sink.h"

#include <algorithm>

#include "server/stages/store/aside_file.h"
#include "server/stages/store/pages.h"

namespace millrace::store {
namespace {

Status WriteLines(AsideFile& file, const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    std::string line = *item.json;
    // JSON has line breaks only between tokens, so a blank can replace each.
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::replace(line.begin(), line.end(), '\r', ' ');
    line.push_back('\n');
    MR_RETURN_IF_ERROR(file.Write(line));
  }
  return absl::OkStatus();
}

class JsonlSink final : public SinkStage {
 public:
  JsonlSink(const v1::JsonlSink& sink, OutputOpener open) : shown_(sink.path()), open_(std::move(open)) {}

  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    const auto file = std::make_shared<AsideFile>(open_, shown_, AsideOwner(context.run, context.stage));
    MR_CO_RETURN_IF_ERROR(co_await OpenPatiently(context, file));
    MR_CO_RETURN_IF_ERROR(co_await ForEachPage(context, reader, file, WriteLines));
    co_return co_await OnPool(context, file, [](AsideFile& whole) { return whole.Commit(); });
  }

 private:
  const std::string shown_;
  const OutputOpener open_;
};

}  // namespace

std::unique_ptr<SinkStage> MakeJsonlSink(const v1::JsonlSink& sink, OutputOpener open) {
  return std::make_unique<JsonlSink>(sink, std::move(open));
}

}  // namespace millrace::store
