<?php
/**
 * GatewayClient as a program: a line `{"op":"bindUid","args":[…]}` on stdin calls that method of its Gateway, and
 * the result is a line on stdout. `--persistent` keeps its connections.
 */
declare(strict_types=1);

require_once __DIR__ . '/autoload.php';
require_once __DIR__ . '/calls.php';

use GatewayClient\Gateway;

error_reporting(E_ALL & ~E_WARNING & ~E_DEPRECATED);
Gateway::$registerAddress = interop_setting('INTEROP_REGISTER');
Gateway::$secretKey = interop_setting('INTEROP_KEY');
Gateway::$addressesCacheDisable = true;
Gateway::$persistentConnection = in_array('--persistent', $argv, true);

while (($line = fgets(STDIN)) !== false) {
    $call = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
    if ($call['op'] === 'useKey') {
        Gateway::$secretKey = $call['args'][0];
        $answer = ['result' => null];
    } else {
        $answer = interop_call([Gateway::class, $call['op']], $call['args']);
    }
    echo interop_json($answer), "\n";
}
