// The text of one StreamGenerate on its way to the client: parts come from the call, messages go to the RPC.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/completion_service.pb.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/engine/requests/completions_api.h"

namespace millrace::api {

// Joins the parts that come while the client does not read, so that they take bounded memory. Engine thread only.
class AnswerStream final : public DeltaSink {
 public:
  // Bytes of text that wait for the client at most. A part that would exceed them is dropped, with all that follow it
  // until a restart, so that the client's text is always the beginning of the attempt's.
  static constexpr size_t kWaitingMax = 64 << 10;

  explicit AnswerStream(Loop& loop) : changed_(loop) {}

  void Delta(std::string_view text) override;
  void Restarted() override;
  // Ends the stream with the answer, or with an error.
  void End(StatusOr<v1::GenerateResponse> result);

  // Messages for the client, in order, and the end of the stream after them.
  struct Page {
    std::vector<v1::StreamGenerateResponse> messages;
    std::optional<Status> end;
  };
  // Resumes once there is something for the client.
  Task<Page> Next();

 private:
  Event changed_;
  bool has_text_ = false;      // the client has text that a restart makes void
  bool is_restarted_ = false;  // and does not know it yet
  bool is_cut_ = false;        // parts were dropped
  std::string waiting_;
  std::optional<StatusOr<v1::GenerateResponse>> result_;
};

}  // namespace millrace::api
