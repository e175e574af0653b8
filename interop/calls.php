<?php
/** How a call of the Gateway API travels as JSON: used by the worker (Events.php) and by client.php. */
declare(strict_types=1);

/** An object for sessions: one property of each visibility. */
class InteropPoint
{
    public int $x = 1;
    protected float $y = 0.5;
    private array $path = ['a' => null];
}

/** An enum for sessions. */
enum InteropSuit: string
{
    case Hearts = 'H';
}

/**
 * Calls a method and says what came of it: its result, or the class of what it threw. Sessions hold what JSON cannot
 * express, so the serialized form comes along.
 */
function interop_call(callable $method, array $args): array
{
    ob_start();
    try {
        $result = $method(...array_map('interop_decode', $args));
        return ['result' => $result, 'serialized' => serialize($result)];
    } catch (Throwable $thrown) {
        return ['error' => get_class($thrown)];
    } finally {
        ob_end_clean();
    }
}

/** `{"serialized":"…"}` stands for a value that JSON cannot express, `{"base64":"…"}` for bytes, at any depth. */
function interop_decode(mixed $argument): mixed
{
    if (!is_array($argument)) {
        return $argument;
    }
    return match (count($argument) === 1 ? array_key_first($argument) : null) {
        'serialized' => unserialize($argument['serialized']),
        'base64' => base64_decode($argument['base64']),
        default => array_map('interop_decode', $argument),
    };
}

function interop_json(array $value): string
{
    return json_encode(
        $value,
        JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_PARTIAL_OUTPUT_ON_ERROR
            | JSON_INVALID_UTF8_SUBSTITUTE
    );
}
