// Stage kind `merge`: joins items that describe one thing, by rules over pairs.
#pragma once

namespace millrace {

struct StageKind;

StageKind MergeKind();

}  // namespace millrace
